"""The workflow templates: what each holds, where everything stands, and how both are written as files."""

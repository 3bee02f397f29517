"""Whether people look like their references, stay who they are, and stay where they are."""

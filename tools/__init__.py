"""Runs a real ComfyUI for the tests, the demo and work by hand. Nothing in here is shipped with the pack."""

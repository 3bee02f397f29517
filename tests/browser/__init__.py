"""The pack in a real browser, on the page that a real ComfyUI serves."""

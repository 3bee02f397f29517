"""What the page asks the running server."""

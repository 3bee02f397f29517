"""One sampling run: what is checked before it, what drives it, and what it keeps."""

"""Whether each attribute is on its owner, and each object is there."""

"""Scores of an IMAGE batch, with the host's device, progress and interrupts."""

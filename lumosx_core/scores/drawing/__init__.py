"""Scores as pictures: plots, and frames with what was found drawn into them."""

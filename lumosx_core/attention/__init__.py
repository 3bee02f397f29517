"""Attention backends: which there are, which fits a card, and the calls to them."""

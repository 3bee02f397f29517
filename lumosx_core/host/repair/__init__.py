"""Sampling the faces of a finished video again, each with the reference of its own person only."""

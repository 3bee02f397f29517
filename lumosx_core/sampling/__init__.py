"""Sampling of rectified flow in plain PyTorch: the schedule and the solvers."""

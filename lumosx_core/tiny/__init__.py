"""The embedded default: a small model family that ships, so that the whole pipeline runs without downloads.

``trained`` holds a Wan2.1-T2V transformer and the decoder of a small VAE, both trained on the drawn world of ``world``;
``text`` makes a UMT5 from a seed. ``codec`` encodes as the VAE and ``decoder`` paints; ``demo_case`` draws a test case.
"""

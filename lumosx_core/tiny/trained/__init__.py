"""The trained files that ship: the small model, a Wan2.1 checkpoint, and the decoder of the small VAE; each with the
record of the training that made it, `python dev.py train tiny` and `python dev.py train decoder`."""

from __future__ import annotations

from pathlib import Path

TRAINED = Path(__file__).with_name("lumosx_tiny_dit.safetensors")
DECODER = Path(__file__).with_name("lumosx_tiny_decoder.safetensors")
VERSION_KEY = "lumosx_tiny"
VERSION = "4"
"""In the metadata of the two files that are put into model folders; to be raised whenever other weights of the model or
the text encoder ship. The decoder is read where it lies, so it needs none."""

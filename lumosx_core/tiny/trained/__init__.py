"""The trained files that ship: the small model, a Wan2.1 checkpoint, and the decoder of the small VAE; each with the
record of the training that made it, `python dev.py train tiny` and `python dev.py train decoder`."""

from __future__ import annotations

from pathlib import Path

TRAINED = Path(__file__).with_name("lumosx_tiny_dit.safetensors")
DECODER = Path(__file__).with_name("lumosx_tiny_decoder.safetensors")
VERSION_KEY = "lumosx_tiny"
VERSION = "4"
"""In the metadata of the model and of the text encoder's file, which is kept in the user folder; to be raised whenever
another model or text encoder ships."""

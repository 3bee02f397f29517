"""The trained files that ship: the small model, a Wan2.1 checkpoint, and the small VAE; each with the record of the
training that made it, `python dev.py train tiny` and `python dev.py train codec`."""

from __future__ import annotations

from pathlib import Path

TRAINED = Path(__file__).with_name("lumosx_tiny_dit.safetensors")
CODEC = Path(__file__).with_name("lumosx_tiny_codec.safetensors")
VERSION_KEY = "lumosx_tiny"
VERSION = "6"
"""In the metadata of the model and of the text encoder's file, which is kept in the user folder; to be raised whenever
another model or text encoder ships."""

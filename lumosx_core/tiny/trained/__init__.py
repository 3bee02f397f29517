"""The small model that ships: a Wan2.1 checkpoint, and how `python dev.py train tiny` made it."""

from __future__ import annotations

from pathlib import Path

TRAINED = Path(__file__).with_name("lumosx_tiny_dit.safetensors")
VERSION_KEY = "lumosx_tiny"
VERSION = "4"
"""In the metadata of both small files; to be raised whenever other weights ship."""

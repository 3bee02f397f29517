"""The trained files that ship: the small model, a Wan2.1 checkpoint; the small VAE; a small Lynx for the small model;
the small HunyuanVideo and a PolyVivid adapter for it. Each has the record of the training that made it beside it:
`python dev.py train tiny`, `codec`, `lynx`, `tiny-hunyuan` or `tiny-polyvivid`."""

from __future__ import annotations

from pathlib import Path

TRAINED = Path(__file__).with_name("lumosx_tiny_dit.safetensors")
CODEC = Path(__file__).with_name("lumosx_tiny_codec.safetensors")
LYNX = Path(__file__).with_name("lumosx_tiny_lynx.safetensors")
HUNYUAN = Path(__file__).with_name("lumosx_tiny_hunyuan.safetensors")
POLYVIVID = Path(__file__).with_name("lumosx_tiny_polyvivid.safetensors")
VERSION_KEY = "lumosx_tiny"
VERSION = "8"
"""In the metadata of the model and of the text encoder's file, which is kept in the user folder; to be raised whenever
another model or text encoder ships."""

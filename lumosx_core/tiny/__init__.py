"""The embedded default: a model family made from a seed, so that the whole pipeline runs without downloads.

``transformer`` and ``text`` make weights that ComfyUI loads as Wan2.1-T2V and UMT5, ``codec`` stands in for the VAE and
``drawing`` paints a test case. Nothing here was trained: pictures come out recognisable, not beautiful.
"""

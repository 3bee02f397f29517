"""PolyVivid (arXiv 2506.07848): subjects bound to words of the prompt by a multimodal text encoder, on HunyuanVideo.

No code and no weights of it are public. This is what the paper says, completed where it is silent: each file names the
section and equation that it computes, and the choices that are ours.
"""

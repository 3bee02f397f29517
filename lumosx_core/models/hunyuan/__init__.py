"""HunyuanVideo (arXiv 2412.03603) in plain PyTorch, under the names of its checkpoints in ComfyUI."""

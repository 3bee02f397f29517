"""Lynx (ByteDance, arXiv 2509.15496): one person's face on Wan2.1-T2V-14B, by two adapters.

A face embedding becomes identity tokens (``recogniser``, ``resampler``), and a reference pass of the transformer itself
gives features of the face (``reference``). The adapters' weights turn both into more keys and values (``layers``,
``folding``), which the transformer's attention layers take in with their own queries (``attention``). ``identity`` and
``card`` keep a person for later.
"""

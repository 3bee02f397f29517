"""A drawn world in which everything about who wears what is known: clips, prompts and references from a seed.

``cast`` says who and what there is, ``script`` who does what where and in which words, and ``clip`` draws both into
frames and reference pictures. The world is small enough for a small model to learn on a CPU, and large enough that no
identity and no pair of colours and pattern of one split is met in another.
"""

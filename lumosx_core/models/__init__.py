"""Model families, a folder each, and the methods for them: what is computed, sizes and files, without a host.

``families.FAMILIES`` lists the families.
"""

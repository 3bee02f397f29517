"""Model families, a folder each: what a model computes, its sizes and its files, without a host."""

"""Models: one folder each, with what it computes, its sizes and its files."""

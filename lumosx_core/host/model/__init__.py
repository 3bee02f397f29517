"""What a MODEL is given: attention backends, a memory budget, packed and low-rank layers."""

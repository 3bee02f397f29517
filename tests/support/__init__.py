"""What several tests use: made pictures, faces, weights and environments."""

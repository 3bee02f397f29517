"""Wan2.1: its modules by their names, its rotary embedding, and its blocks and forward under a method."""

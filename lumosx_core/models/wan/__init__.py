"""Wan2.1: its modules by their names, and its rotary embedding."""

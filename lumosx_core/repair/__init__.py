"""Repairing faces of a finished video: following them, cutting windows around them, and pasting what was made anew."""

"""Scores that tell whether a video shows the people and things that it was given, and each on the right person."""

"""Faces in pictures: found, judged, picked, cropped and told apart."""

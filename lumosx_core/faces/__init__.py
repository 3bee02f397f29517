"""Faces in pictures: finding, rating, picking, cropping and comparing them."""

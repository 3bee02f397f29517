"""People that are kept: one folder or zip file for each, read, written, and turned into cases and back."""

from .person import Person
from .reading import load_person
from .writing import write_person_folder

__all__ = ["Person", "load_person", "write_person_folder"]

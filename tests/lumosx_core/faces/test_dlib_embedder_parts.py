"""dlib's embedder without dlib: what is said where it cannot be used, and the sums around its network."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.faces import dlib_embedder
from lumosx_core.faces.dlib_embedder import DlibEmbedder


@pytest.mark.parametrize(("folder", "path"), [("/models", False), ("/mod\u00e8les", True)])
@pytest.mark.parametrize(("error", "reason"), [
    (RuntimeError("Unable  to open\nthe file"), "(Unable to open the file)"), (ImportError("no dlib"), "(no dlib)"),
])
def test_why_dlib_cannot_be_used_is_said(monkeypatch, folder, path, error, reason):
    def fail(name):
        raise error

    monkeypatch.setattr(dlib_embedder, "require", lambda *_, **__: None)
    monkeypatch.setattr(dlib_embedder, "_weights_folder", lambda: Path(folder))
    monkeypatch.setitem(sys.modules, "dlib", SimpleNamespace(face_recognition_model_v1=fail))
    with pytest.raises(LumosXError) as caught:
        DlibEmbedder()
    text = str(caught.value)
    assert text.startswith(f"embedder: dlib cannot be used {reason}; run ") and ("ASCII letters" in text) == path


def test_likeness_falls_with_the_distance():
    embedder = DlibEmbedder.__new__(DlibEmbedder)
    first, second = np.zeros((1, 128), np.float32), np.zeros((2, 128), np.float32)
    second[1, :2] = 3, 4
    found = embedder.similarity(first, second)
    assert found.dtype == np.float32 and found.tolist() == [[1.0, -4.0]]
    assert dlib_embedder._stacked([]).shape == (0, 128)

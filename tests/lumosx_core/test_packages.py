"""Packages that are imported late: there, or missing with a sentence."""

import sys

import pytest

from lumosx_core import packages
from lumosx_core.errors import LumosXError


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("opencv", "cv2"), ("matplotlib", "matplotlib.figure"), ("scipy", "scipy.ndimage"),
        ("transformers", "transformers"),
    ],
)
def test_a_package_is_there_or_named(monkeypatch, name, module):
    assert getattr(packages, name)().__name__ == module.partition(".")[0]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LumosXError, match="install it with pip install"):
        getattr(packages, name)()

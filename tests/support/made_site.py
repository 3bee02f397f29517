"""A made environment: a folder that is all a Python sees besides its standard library, as pip would have left it."""

import subprocess
import sys
from pathlib import Path

from tools.archive import ROOT

_PROGRAM = "import sys; sys.path[:0] = [sys.argv[1], sys.argv[2]]\n"


def add_metadata(folder, distribution, version):
    """Put into a site-packages folder what pip knows of a distribution that needs nothing."""
    information = Path(folder) / f"{distribution.replace('-', '_')}-{version}.dist-info"
    information.mkdir()
    text = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    (information / "METADATA").write_text(text, encoding="utf-8")
    (information / "RECORD").touch()


class MadeSite:
    """A site-packages folder with pip in it, to which packages are added by name."""

    def __init__(self, folder, pip=True):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        # Where a link to this Python stands decides what it takes for its own path.
        self.python = Path(sys.executable)
        if pip:
            self.add_module("pip")

    def add_module(self, name, source=""):
        """Put a package's module there."""
        path = self.folder / name / "__init__.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(source, encoding="utf-8")

    def add_metadata(self, distribution, version):
        """Put what pip knows of a distribution there."""
        add_metadata(self.folder, distribution, version)

    def add(self, distribution, version, module=None, source=""):
        """Install a distribution; `source` is what importing it runs."""
        self.add_metadata(distribution, version)
        self.add_module(module or distribution.replace("-", "_"), source)

    def run(self, code):
        """What a program that sees these packages and ours prints."""
        command = [self.python, "-I", "-S", "-c", _PROGRAM + code, self.folder, ROOT]
        answer = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def line(self, *modules):
        """The line for a terminal that installs what these modules need here, with `python` for the Python's path."""
        told = self.run(f"from lumosx_core.install_line import install_line\nprint(install_line({modules!r}))")
        return told.replace(str(self.python), "python")

    def sentence(self, code):
        """The sentence in which some use of lumosx_core.packages ends, with `python` for the Python's path."""
        told = self.run(
            "from lumosx_core import packages\nfrom lumosx_core.errors import LumosXError\n"
            f"try:\n    {code}\nexcept LumosXError as error: print(error)"
        )
        return told.replace(str(self.python), "python")

"""Rules of the house that a machine can check."""

import ast
import re
import subprocess
import sys

import pytest

from support.names import ROOTS
from tools.archive import ROOT, extras, optional_modules, requirement_names, shipped_files

SHIPPED = [ROOT / path for path in shipped_files() if path.suffix == ".py"]
BATCH, DATA = ROOT / "lumosx_core" / "runner", ROOT / "lumosx_core" / "data"
OURS = [*SHIPPED, *BATCH.rglob("*.py"), *DATA.rglob("*.py")]
ALL = [
    *OURS, ROOT / "dev.py", *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "tests").rglob("*.py"),
    *(ROOT / "tools").rglob("*.py"),
    *(ROOT / "web").rglob("*.js"),
]
# The two programs of ours that speak to a server, the one whose address their user types; they are not published.
MAY_CONNECT = {BATCH / "client.py", DATA / "chat.py"}
# scipy, transformers and av are ComfyUI's, but slow to import and not always there.
OPTIONAL = {
    *optional_modules(), "scipy", "transformers", "av", "skimage", "flash_attn", "flash_attn_interface", "xformers",
    "comfy_kitchen", "networkx", "sageattn3", "scenedetect",
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
CONNECTIONS = re.compile(
    r"urlopen|urllib\.request|http\.client|aiohttp\.Client|\bsession\(\)|requests\.|socket\.socket|build_opener"
)


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        yield from names_of(node)


def names_of(node):
    """The modules that a node imports from elsewhere."""
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []


def test_ruff_is_content():
    answer = subprocess.run([sys.executable, "-m", "ruff", "check", ROOT], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout


# A test for each file would be two thousand tests, which take longer to hand out than to run.
def test_no_file_is_longer_than_500_lines():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in ALL}
    assert not {str(path): length for path, length in lengths.items() if length > 500}


def test_only_two_programs_connect_and_nothing_chooses_cuda():
    texts = {path: path.read_text(encoding="utf-8") for path in OURS}
    assert not [str(path) for path, text in texts.items() if ".cuda(" in text]
    assert {path for path, text in texts.items() if CONNECTIONS.search(text)} == MAY_CONNECT


def test_only_the_host_room_imports_comfy():
    wrong = {}
    for path in OURS:
        room = path.relative_to(ROOT).parts[:2]
        allowed = ROOTS if room == ("lumosx_core", "host") else {"comfy_api"} if room[0] == "nodes" else set()
        wrong[str(path)] = {name.partition(".")[0] for name in imported(path)} & ROOTS - allowed
    assert not {path: names for path, names in wrong.items() if names}


def test_what_connects_is_not_published():
    assert not MAY_CONNECT & set(SHIPPED)


@pytest.mark.slow
def test_importing_the_core_loads_no_host_nothing_optional_and_starts_no_cuda():
    """In a fresh interpreter, for users of the core outside ComfyUI and for ComfyUI's start."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import lumosx_core.models.lumosx, lumosx_core.media, lumosx_core.sampling.solvers, lumosx_core.scene.report\n"
        "import lumosx_core.tiny.demo_case, lumosx_core.faces.catalogue, lumosx_core.runner.run\n"
        "import lumosx_core.data.__main__\n"
        "import lumosx_core.media.cutouts, lumosx_core.media.views, lumosx_core.scores.command\n"
        "import lumosx_core.scores.attributes.score, lumosx_core.scores.motion\n"
        "import torch; assert not torch.cuda.is_initialized()\n"
        "late = 'comfy folder_paths cv2 onnx onnxruntime insightface dlib matplotlib transformers scipy av'.split()\n"
        "assert not {name.split('.')[0] for name in sys.modules} & set(late)"
    )
    subprocess.run([sys.executable, "-I", "-c", code, str(ROOT)], check=True)


def test_torch_is_never_asked_for():
    for name in ("requirements.txt", *(file.name for file in extras().values()), "pyproject.toml"):
        assert not re.search(r"^\W*torch", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE), name


def test_requirements_and_pyproject_agree():
    """The base list with the dependencies, and each requirements-NAME.txt with the extra of that name."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.")[0]
    lists = {
        name: re.findall(r'^\s+"(.+)",$', block, re.MULTILINE)
        for name, block in re.findall(r"^([\w-]+) = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    }
    del lists["classifiers"]
    assert lists.pop("dependencies") == listed_in(ROOT / "requirements.txt")
    assert lists == {name: listed_in(file) for name, file in extras().items()}


def listed_in(file):
    """The requirements of a file, as pyproject.toml writes them."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.replace('"', "'") for line in lines if not line.startswith("#")]


def test_the_developers_environment_has_every_package():
    """dev.py installs this list, so that what is optional for users is tested here."""
    asked = {name for file in (ROOT / "requirements.txt", *extras().values()) for name in requirement_names(file)}
    assert asked <= set(requirement_names(ROOT / "tools" / "requirements.txt"))


def test_an_optional_package_is_imported_only_inside_a_function():
    """Where it is first used: a node pack that cannot be imported shows no node at all."""
    assert not {str(path): found for path in SHIPPED if (found := optional_at_import(path.read_text(encoding="utf-8")))}


def optional_at_import(source):
    """The imports of optional packages that a file runs when it is imported itself."""
    tree = ast.parse(source)
    later = {id(node) for outer in ast.walk(tree) if isinstance(outer, FUNCTIONS) or is_for_types(outer)
             for node in ast.walk(outer)}
    return [ast.unparse(node) for node in ast.walk(tree) if id(node) not in later
            and OPTIONAL & {name.partition(".")[0] for name in names_of(node)}]


def is_for_types(node):
    """Whether it is ``if TYPE_CHECKING``, which no interpreter enters."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


@pytest.mark.parametrize(("source", "found"), [
    ("import cv2", ["import cv2"]), ("import cv2.data", ["import cv2.data"]),
    ("class A:\n    from av import open", ["from av import open"]),
    ("try:\n    import dlib\nfinally: 1", ["import dlib"]),
    ("def f():\n    import cv2", []), ("async def f():\n    import cv2", []), ("from .av import a", []),
    ("if TYPE_CHECKING:\n    import cv2", []), ("import torch", []),
])
def test_imports_of_optional_packages_are_found(source, found):
    assert optional_at_import(source) == found


def test_the_readme_names_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "python dev.py demo" in readme and "python dev.py test" in readme
    for picture in re.findall(r"!\[.*?\]\((.+?)\)", readme):
        assert (ROOT / picture).is_file(), picture
    for link in re.findall(r"\]\((docs/[^)]+)\)", readme):
        assert (ROOT / link).is_file(), link

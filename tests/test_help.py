"""The help pages: one for each node, with a picture, without dead links, and served where the page looks for them."""

import ast
import re
import urllib.request
from functools import cache

import pytest
from PIL import Image

from tools import english
from tools.server import PACK_NAME, ROOT

HELP = ROOT / "web" / "docs"
SERVED = f"/extensions/{PACK_NAME}/docs/"
REPOSITORY = "https://github.com/lumosx-comfyui/ComfyUI-LumosX/blob/main/"
PAGES = sorted(HELP.glob("*.md"))
# A node's page in a language lies in a folder of the node's name.
TRANSLATED = sorted(HELP.glob("*/*.md"))
EVERY = [*PAGES, *TRANSLATED]
MOST_LINES, MOST_COLUMNS = 60, 120
LARGEST_PICTURE, LARGEST_SUM = 120_000, 1_200_000
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def text_of(path):
    return path.read_text(encoding="utf-8")


def targets(text):
    """What the links of a page lead to, and which of its link names have no target."""
    defined = dict(re.findall(r"^\[([^\]]+)\]: (\S+)$", text, re.MULTILINE))
    body = re.sub(r"^\[[^\]]+\]: .*$|^```.*?^```|`[^`]*`", "", text, flags=re.MULTILINE | re.DOTALL)
    named = {" ".join(name.split()) for name in re.findall(r"(?<!!)\[([^\]]+)\](?!\()", body)}
    direct = re.findall(r"(?<!!)\[[^\]]+\]\((\S+?)\)", body)
    return [*defined.values(), *direct], named ^ set(defined)


def pictures(text):
    return re.findall(r"!\[[^\]]+\]\((\S+?)\)", text)


@cache
def messages():
    """Every text in the shipped code that is long enough to be recognised by, with single blanks."""
    trees = [ast.parse(text_of(path)) for path in (ROOT / "lumosx_core").rglob("*.py")]
    texts = {node.value for tree in trees for node in ast.walk(tree)
             if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return tuple(text for text in (" ".join(text.split()) for text in texts) if len(text) >= 5)


def ours(quote):
    """The places of a quoted message that stand so in the code; "…" and the user's own words do not."""
    pieces = [message for message in messages() if message in quote]
    pieces += [piece.strip() for piece in quote.split("…") if any(piece.strip() in message for message in messages())]
    starts = ((quote.find(piece), piece) for piece in pieces)
    return {place for start, piece in starts for place in range(start, start + len(piece))}


@pytest.fixture(scope="module")
def nodes(server):
    info = english.ComfyClient(server.url).object_info()
    return {name: node for name, node in info.items() if name.startswith(english.OURS)}


def test_every_node_has_a_page_and_every_page_a_node(nodes):
    assert {path.stem for path in PAGES} == set(nodes)
    assert {path.parent.name for path in TRANSLATED} <= set(nodes)


def test_a_page_is_headed_by_the_name_that_the_node_has(nodes):
    for path in PAGES:
        assert text_of(path).splitlines()[0] == f"# {nodes[path.stem]['display_name']}"


def test_what_a_page_names_in_bold_is_on_some_node(nodes):
    """Bold words that look like the id of an input or output are one, of this node or of a neighbour."""
    known = {name for node in nodes.values() for part in node["input_order"].values() for name in part}
    known |= {name for node in nodes.values() for name in node["output_name"]}
    for path in PAGES:
        for bold in re.findall(r"\*\*([^*]+)\*\*", text_of(path)):
            for word in re.findall(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b", bold):
                assert word in known, f"{path.name}: {bold}"


def test_a_page_speaks_of_what_its_node_takes(nodes):
    for path in PAGES:
        inputs = [name for part in nodes[path.stem]["input_order"].values() for name in part]
        said = [name for name in inputs if re.search(rf"\b{name}\b", text_of(path))]
        assert len(said) >= min(len(inputs), 2), path.name


@pytest.mark.parametrize("path", EVERY, ids=lambda path: str(path.relative_to(HELP)))
def test_a_page_is_short_has_a_picture_and_no_dead_link(path):
    text = text_of(path)
    prose = [line for line in text.splitlines() if not re.match(r"\[|!\[|>|\|", line)]
    assert 25 <= len(text.splitlines()) <= MOST_LINES
    assert all(len(line) <= MOST_COLUMNS for line in prose)
    # The page puts the folder of all help pages before a relative name, in every language.
    assert pictures(text) and all((HELP / name).is_file() for name in pictures(text))
    links, undefined = targets(text)
    assert links and not undefined
    for link in links:
        # The page opens links as they stand, and browsers download what the server hands out as Markdown.
        assert link.startswith(REPOSITORY), link
        assert (ROOT / link[len(REPOSITORY):]).is_file(), link


def test_pictures_are_small_readable_and_used():
    files = sorted(path for path in (HELP / "images").iterdir())
    used = {HELP / name for path in EVERY for name in pictures(text_of(path))}
    assert set(files) == used
    for path in files:
        assert path.stat().st_size <= LARGEST_PICTURE, path.name
        with Image.open(path) as picture:
            assert min(picture.size) >= 100
    assert sum(path.stat().st_size for path in files) <= LARGEST_SUM


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_message_that_a_page_quotes_is_one_of_ours(path):
    for quote in re.findall(r"^> (.+)$", text_of(path), re.MULTILINE):
        assert len(ours(quote)) >= len(quote) / 2, quote


def test_the_server_hands_out_every_page_and_picture(server):
    for path in sorted(path for path in HELP.rglob("*") if path.is_file()):
        with _opener.open(server.url + SERVED + path.relative_to(HELP).as_posix(), timeout=60) as answer:
            assert answer.read() == path.read_bytes()
            # Newer pages take what is called HTML for an error page.
            assert "html" not in answer.headers["Content-Type"]

"""What the pages say: links lead somewhere, quoted messages are ours, and the rules about phrases hold."""

import ast
import functools
import json
import re
from pathlib import Path

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.models.lumosx.sequence import Binding, SequenceLayout
from lumosx_core.scene.phrases import find_phrase
from support.tokens import small_tokenizer

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
VALUE = "\0"
LINK = re.compile(r"\]\(([^)\s]+)\)|<img[^>]+src=\"([^\"]+)\"")


def links(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [one or other for one, other in LINK.findall(text)]


def anchors(page):
    """The names that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page):
    for link in links(page):
        place, _, anchor = link.partition("#")
        if place.startswith(("http://", "https://")):
            continue
        target = (page.parent / place).resolve() if place else page
        assert target.is_file(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_linked():
    linked = {(page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in links(page)}
    assert {page for page in PAGES if page.parent.name == "docs"} <= linked


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "images").glob("*.svg")), ids=lambda path: path.name)
def test_a_drawn_picture_brings_everything_along(path):
    """GitHub shows it as a picture: no script, nothing from elsewhere."""
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"<script|https?:|@import|url\((?!#)|href=\"(?!#)", text)


def test_the_picture_of_attention_has_the_numbers_of_the_layout():
    text = (ROOT / "docs" / "images" / "attention.svg").read_text(encoding="utf-8")
    one, two = ((0, 1), (1, 2)), ((2, 3), (3, 4))
    layout = SequenceLayout(21, 30, 52, Binding((((5, 6),), ((4, 5),)), (one, two), (2, 2)))
    starts = [layout.reference_range(reference)[0] for reference in range(6)]
    assert layout.positions()[starts].tolist() == [
        [21, 0, 0], [22, 0, 0], [23, 0, 0], [23, 30, 52], [24, 0, 0], [24, 30, 52],
    ]
    assert layout.binding.text_weights(6).tolist() == [
        [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0], *[[1, 1, -1, -1, 0, 0]] * 2, *[[-1, -1, 1, 1, 0, 0]] * 2,
    ]
    assert f"{layout.frames} latent frames of {layout.frame_tokens:,} tokens" in text
    assert text.count(">+</text>") == 6 and text.count(">−</text>") == 4


def texts(path):
    """What a program may say, with VALUE where a value goes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else VALUE for part in node.values)


def texts_of_the_page():
    words = json.loads((ROOT / "locales" / "en" / "main.json").read_text(encoding="utf-8"))["lumosx"]
    return [re.sub(r"\{\w+\}", VALUE, text) for text in words.values()]


@functools.cache
def sentences():
    """Every sentence of the shipped code, as a pattern in which anything may stand for a value."""
    files = [*(ROOT / "nodes").rglob("*.py"), *(ROOT / "lumosx_core").rglob("*.py")]
    said = [*texts_of_the_page(), *(text for path in files for text in texts(path))]
    parts = [text.split(VALUE) for text in said if len(text.replace(VALUE, " ").split()) >= 5]
    return [re.compile(".*".join(map(re.escape, fixed)), re.DOTALL) for fixed in parts]


def is_said(message):
    return any(sentence.fullmatch(message) for sentence in sentences())


def quoted():
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    return [line.removeprefix("> ") for line in text.splitlines() if line.startswith("> ")]


@pytest.mark.parametrize("message", quoted(), ids=lambda message: message[:40])
def test_a_quoted_message_is_one_of_ours(message):
    assert is_said(message)


@pytest.mark.parametrize("message", [
    "frames: 80 is not 4 n + 1 from 1 to 1025; take 81.",
    "clip: its tokens are for CLIP-L, not for UMT5",
    "…: … pictures came in one batch, but a reference is one picture; …",
    "…",
])
def test_another_message_is_not(message):
    assert not is_said(message)


@pytest.fixture(scope="module")
def tokenize():
    return small_tokenizer()


def table_of_phrases():
    """(prompt, phrase, binds) of the rows of docs/concepts.md that say yes or no."""
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    table = text[text.index("| the prompt says |"):].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table]
    sure = [row for row in rows if re.match("(yes|no)\\b", row[2])]
    return [(prompt.replace("**", ""), phrase, verdict.startswith("yes")) for prompt, phrase, verdict in sure]


@pytest.mark.parametrize(("prompt", "phrase", "binds"), table_of_phrases())
def test_what_concepts_says_of_phrases_holds(tokenize, prompt, phrase, binds):
    try:
        found = find_phrase(tokenize(prompt), tokenize(phrase)).spans
    except LumosXError:
        found = ()
    assert len(found) == (max(1, prompt.split().count(phrase)) if binds else 0)


def names_of_the_glossary():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    glossary = text.partition("## Glossary")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| .+ \| .+ \| (.+) \|$", glossary, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_the_glossary_names_what_the_code_has():
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "lumosx_core").rglob("*.py"))
    assert len(names_of_the_glossary()) > 25
    for name in names_of_the_glossary():
        place = ROOT / "lumosx_core" / name.replace(".", "/")
        files = (ROOT / name, place, place.with_suffix(".py"))
        last = name.rpartition(".")[2]
        defined = re.search(rf"^ *(class |def )?{last}\b ?[(:=]", source, re.MULTILINE)
        assert any(map(Path.exists, files)) or defined, name

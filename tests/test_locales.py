"""What the page shows in the user's language: the same keys in each, and English as the schemas have it."""

import inspect
import json
import re
import urllib.request

import pytest

from tools import english
from tools.server import ROOT

LANGUAGES = ("en", "zh")
FILES = sorted({path.name for language in LANGUAGES for path in (ROOT / "locales" / language).glob("*.json")})
CHINESE = re.compile(r"[\u4e00-\u9fff]")
# What newcomers type.
FIRST_WORDS = ("person", "character", "multi person", "outfit", "clothes", "consistency")
# Names that stay as they are in every language.
PROPER_NAMES = {"CLIP", "VAE", "CFG", "LumosX PolyVivid", "LumosX HunyuanCustom"}
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def read(language, name):
    return json.loads((ROOT / "locales" / language / name).read_text(encoding="utf-8"))


def flat(messages, path=()):
    """Every text by its path of keys."""
    if not isinstance(messages, dict):
        return {path: messages}
    return {key: text for name, part in messages.items() for key, text in flat(part, (*path, name)).items()}


@pytest.fixture(scope="module")
def object_info(server):
    return english.ComfyClient(server.url).object_info()


def test_both_languages_have_the_same_files():
    assert "nodeDefs.json" in FILES
    for language in LANGUAGES:
        assert sorted(path.name for path in (ROOT / "locales" / language).iterdir()) == FILES


@pytest.mark.parametrize("name", FILES)
def test_both_languages_have_the_same_keys_in_the_same_order(name):
    assert list(flat(read("zh", name))) == list(flat(read("en", name)))


@pytest.mark.parametrize("name", FILES)
def test_no_text_is_empty_and_placeholders_agree(name):
    chinese = flat(read("zh", name))
    for path, text in flat(read("en", name)).items():
        assert text.strip() and chinese[path].strip(), path
        assert sorted(re.findall(r"\{\w*\}", text)) == sorted(re.findall(r"\{\w*\}", chinese[path])), path


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_of_a_node_has_a_sign_that_the_page_reads_as_code(language):
    """vue-i18n takes braces for placeholders, | for plurals and @ for links, and one page does not unescape them."""
    for path, text in flat(read(language, "nodeDefs.json")).items():
        assert not re.search(r"[{}|@]", text), path


def test_english_is_what_the_schemas_say(object_info):
    """Else let tools/english.py write the file anew, and translate what changed."""
    assert read("en", "nodeDefs.json") == english.english(object_info)


@pytest.mark.parametrize("name", FILES)
def test_chinese_is_chinese(name):
    originals = flat(read("en", name))
    for path, text in flat(read("zh", name)).items():
        proper = text in PROPER_NAMES or ("options" in path and text == originals[path])
        assert CHINESE.search(text) or proper, path


def test_what_a_chinese_tooltip_calls_a_node_is_the_name_of_a_node():
    nodes = read("zh", "nodeDefs.json")
    names = {node["display_name"] for node in nodes.values()}
    assert len(names) == len(nodes)
    for path, text in flat(nodes).items():
        # Quoted names that begin with LumosX are our nodes.
        assert set(re.findall(r"“(LumosX [^”]+)”", text)) <= names, path


def test_inputs_are_named_alike_in_both_languages():
    """One English name has one Chinese name in all nodes of references, and no node has a name twice."""
    nodes = {language: read(language, "nodeDefs.json") for language in LANGUAGES}
    known = {}
    for name, node in nodes["en"].items():
        chinese = {key: value["name"] for key, value in nodes["zh"][name].get("inputs", {}).items()}
        assert len(set(chinese.values())) == len(chinese), name
        for key, value in node.get("inputs", {}).items():
            if value["name"] != key:
                known.setdefault(value["name"], set()).add(chinese[key])
    assert known.keys() >= {"words", "which one", "words for 1", "which one for 3"}
    assert all(len(names) == 1 for names in known.values()), known
    assert len(set().union(*known.values())) == len(known)


def test_a_chinese_tooltip_keeps_the_numbers_files_and_choices_of_the_english_one():
    chinese = flat(read("zh", "nodeDefs.json"))
    for path, text in flat(read("en", "nodeDefs.json")).items():
        for figure in re.findall(r"\d+(?:\.\d+)?", text):
            assert figure in chinese[path], (path, figure)
        for name in re.findall(r"[\w/]+\.(?:safetensors|json|txt|png)\b|models/\w+", text):
            assert name in chinese[path], (path, name)


def test_the_server_hands_out_both(server):
    with _opener.open(server.url + "/i18n", timeout=60) as answer:
        served = json.loads(answer.read())
    for language in LANGUAGES:
        ours = read(language, "nodeDefs.json")
        assert {name: served[language]["nodeDefs"][name] for name in ours} == ours


def test_every_node_is_found_by_what_users_type_where_the_host_can(object_info):
    from comfy_api.latest import io

    able = "search_aliases" in inspect.signature(io.Schema.__init__).parameters
    ours = {name: node for name, node in object_info.items() if name.startswith(english.OURS)}
    for name, node in ours.items():
        words = node.get("search_aliases")
        assert bool(words) == able, name
        assert len(set(words or ())) == len(words or ()) and all(word == word.lower() for word in words or ()), name
    if able:
        ways = ("phantom", "s2v", "face crop", "remove background", "who wears what", "wan loader gguf")
        for word in (*ways, *FIRST_WORDS):
            assert any(word in node["search_aliases"] for node in ours.values()), word

"""The board's verdict beside what the encoder does: it is never green where the run stops, nor red where it runs."""

import dataclasses

import pytest
import torch
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.host.conditioning.tokens import ClipTokenizer
from lumosx_core.models.wan.config import UMT5
from lumosx_core.scene.binding import bind_prompt
from lumosx_core.scene.checks import BoardReference, Deadline, read_board
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject

PICTURE = torch.rand(1, 24, 24, 3, generator=torch.Generator().manual_seed(1))
EXISTING, MISSING = "embedding:lumosx_there", "embedding:not_there"

WORDS = ["man", "Man", "men", "red", "hat", "hats", "on", "the", "left", "男人", "白色夹克", "café", "\U0001f3a9"]
WORDS += ["남자", "남자가", "친구들은"]
SIGNS = [
    ", ", "!", "(", ")", ":1.2)", "(red hat:1.2)", "\\(", "\\)", "\\", "&amp;", "&#x68;at", "\u0301", "e", "\u2019s",
    "，", "ｈａｔ", "t-shirt", "\u3000", "{a|b}", "// x", "/* red */", "__hat__", EXISTING, MISSING, "embedding:",
    EXISTING + ",", MISSING + "<hat", EXISTING + "[red", "((", "))", "-", "_", "\u00a0", "\u200b", "\ufb01", "1",
    "\u0130",
]
TEXTS = st.lists(st.sampled_from(WORDS) | st.sampled_from(SIGNS), max_size=8)
PROMPTS = st.lists(TEXTS.map(" ".join) | TEXTS.map("".join), max_size=4).map(" ".join)


@pytest.fixture(scope="module")
def clip(tiny, tmp_path_factory):
    """The small encoder, with a folder that holds one embedding for it."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("embeddings")
    save_file({"umt5xxl": torch.zeros(2, 4096)}, folder / "lumosx_there.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        tokenizer = tiny[1].tokenizer
        patch.setattr(getattr(tokenizer, tokenizer.clip), "embedding_directory", [str(folder)])
        yield tiny[1]


@st.composite
def phrases_of(draw, prompt):
    """Words that the prompt may have, whole or cut anywhere, or others."""
    words = prompt.split()
    if words and draw(st.booleans()):
        start = draw(st.integers(0, len(words) - 1))
        return " ".join(words[start:start + draw(st.integers(1, 3))])
    if prompt and draw(st.booleans()):
        start = draw(st.integers(0, len(prompt) - 1))
        return prompt[start:start + draw(st.integers(1, 12))]
    return draw(TEXTS.map(" ".join))


@st.composite
def boards(draw):
    prompt = draw(PROMPTS)
    kinds = draw(st.lists(st.sampled_from([Kind.FACE, Kind.ATTRIBUTE, Kind.OBJECT]), min_size=1, max_size=4))
    references = []
    for number, kind in enumerate(kinds):
        person = None if kind is Kind.OBJECT else number
        phrase = draw(phrases_of(prompt))
        occurrence = draw(st.sampled_from([0, 0, 0, 1, 2, 3]))
        references.append(BoardReference(str(number), kind, phrase, occurrence, person, True))
    return prompt, references


def run(clip, prompt, references):
    """The sentence with which the encoder stops, or None; anything but a sentence is a failure."""
    try:
        made = [Reference(each.kind, each.phrase, PICTURE, each.occurrence) for each in references]
        people = [Subject(one) if one.kind is Kind.FACE else Subject(None, (one,)) for one in made
                  if one.kind is not Kind.OBJECT]
        scene = Scene(None, tuple(one for one in made if one.kind is Kind.OBJECT), tuple(people))
        bind_prompt(ClipTokenizer(clip), scene, prompt)
    except LumosXError as error:
        return str(error)
    return None


def verdict(prompt, references):
    """"red", "amber", "green", or "none" where the board says why it has no verdict."""
    try:
        answer = read_board(prompt, references, settled=True, deadline=Deadline(60), most_tokens=UMT5.length)
        levels = {each["level"] for each in answer["problems"]}
    except LumosXError:
        return "none"
    return "red" if "error" in levels else "amber" if levels else "green"


def agree(clip, prompt, references):
    said, stopped = verdict(prompt, references), run(clip, prompt, references)
    assert said != "green" or stopped is None, stopped
    assert said != "red" or stopped is not None
    return said, stopped


def thing(phrase, occurrence=0):
    return BoardReference("thing", Kind.OBJECT, phrase, occurrence, None, True)


@pytest.mark.slow
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(boards())
@example(("a man embedding: red hat", [thing("red hat")]))
@example(("embedding:not_there<hat", [thing("hat")]))
@example(("red hats", [thing("red hat")]))
@example(("red embedding:lumosx_there hat", [thing("embedding:not_there")]))
@example(("(" * 40 + "hat" + ")" * 40, [thing("hat")]))
@example(("a ! hat", [thing("!")]))
@example(("man \\(", [thing("(")]))
@example(("hat (( ))", [thing("(( ))")]))
@example(("男人 男人男人", [thing("男人", 3)]))
@example(("왼쪽의 남자가 남자친구와 웃는다", [thing("남자", 1)]))
@example(("남자친구와 웃는다", [thing("남자")]))
def test_never_green_where_the_run_stops_and_never_red_where_it_runs(clip, board):
    said, stopped = agree(clip, *board)
    event(f"{said}, {'stops' if stopped else 'runs'}")


@pytest.mark.parametrize(
    ("prompt", "phrase", "expected"),
    [
        ("a {red|blue} hat // and a lamp", "blue hat", "green"),
        ("a {red|blue} hat // and a lamp", "red hat", "red"),
        ("a {red|blue} hat // and a lamp", "lamp", "green"),
        (f"a red {EXISTING} hat", "red hat", "green"),
        (f"a red {MISSING}, hat", "red hat", "green"),
        (f"a red {EXISTING}", EXISTING, "red"),
        # What is left of the phrase is the comma, which the tokenizer finds.
        (f"a hat {EXISTING}man,", f"{EXISTING}man,", "amber"),
        (f"a hat, {EXISTING}man,", f"{EXISTING}man,", "amber"),
        (f"a red ({EXISTING})hat", "hat", "green"),
        ("a hat" + " man" * 511, "hat", "red"),
        ("a remarkable hat" + " unbelievable" * 120, "hat", "amber"),
        ("a hat" + " and a man in a red coat who talks to a woman on the left" * 22, "hat", "amber"),
    ],
)
def test_what_was_seen(clip, prompt, phrase, expected):
    assert agree(clip, prompt, [thing(phrase)])[0] == expected


def test_two_people_called_the_same_are_a_warning_here_and_there(clip):
    people = [BoardReference(str(number), Kind.FACE, "man", 0, number, True) for number in range(2)]
    assert agree(clip, "a man and a man", people) == ("amber", None)


@pytest.mark.parametrize(
    ("prompt", "phrases", "expected"),
    [
        ("A man waves.", ["guy"], ["man"]),
        ("A man waves to a woman.", ["man", "person"], ["woman"]),
        ("A man waves to a woman.", ["lady", "woman"], []),
        ("A man in a (denim jacket:1.2)", ["leather jacket"], ["denim jacket"]),
        ("穿着白色夹克的男人", ["白色的夹克"], ["白色夹克"]),
        ("A man waves.", ["the umbrella"], []),
    ],
)
def test_both_suggest_the_same_and_it_runs_once_taken(clip, prompt, phrases, expected):
    references = [thing(phrase) for phrase in phrases]
    references = [dataclasses.replace(each, id=str(number)) for number, each in enumerate(references)]
    answer = read_board(prompt, references, settled=True, deadline=Deadline(60), most_tokens=UMT5.length)
    (problem,) = [each for each in answer["problems"] if each["code"] == "missing"]
    stopped = run(clip, prompt, references)
    missing = references[int(problem["references"][0])]
    assert problem["values"]["nearest"] == expected
    said = stopped.partition("the nearest words in it are ")[2].partition(": ")[0]
    assert [words.strip('"') for words in said.split(", ") if words] == expected
    assert expected or stopped.endswith("add these words to the prompt.")
    for words in expected:
        fixed = [dataclasses.replace(each, phrase=words) if each is missing else each for each in references]
        assert run(clip, prompt, fixed) is None

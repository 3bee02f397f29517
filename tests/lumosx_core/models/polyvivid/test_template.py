"""The prompt template on LLaVA's own tokenizer, and the golden file on wrong templates."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.models.polyvivid import template
from lumosx_core.models.polyvivid.positions import TextLayout
from lumosx_core.models.polyvivid.template import IMAGE_ID, SEPARATOR_ID, tokenize_template
from tools.golden_polyvivid import WEIGHTS
from tools.llama_tokens import llama_tokenizer

CASES = json.loads(WEIGHTS.with_name("polyvivid_template.json").read_text(encoding="utf-8"))["cases"]
plain = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=20).filter(
    lambda text: "<" not in text
)
words = plain.filter(str.strip)


@pytest.fixture(scope="module")
def tokenize():
    try:
        return llama_tokenizer()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@settings(max_examples=30)
@given(plain, st.lists(words, max_size=4), st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_spans_cover_the_stream_and_nothing_is_lost(tokenize, prompt, subjects, grid):
    tokens = tokenize_template(tokenize, prompt, subjects, [grid] * len(subjects))
    spans = sorted((*tokens.text_spans, *tokens.image_spans))
    assert [start for start, _ in spans] == [0, *(end for _, end in spans)][:len(spans)]
    extra = len(subjects) * (grid[0] * grid[1] - 1)
    assert tokens.length == spans[-1][1] == len(tokens.cropped_ids) + extra
    assert tokens.cropped_ids.count(IMAGE_ID) == len(subjects)
    assert tokens.cropped_ids.count(SEPARATOR_ID) == 1
    assert tokens.cropped_ids[tokens.separator] == SEPARATOR_ID and tokens.separator < tokens.text_spans[0][1]
    assert all(end - start == grid[0] * grid[1] for start, end in tokens.image_spans)
    assert tokens.string.count(prompt) and all(f"The {word} looks like<image>" in tokens.string for word in subjects)
    assert tokens.layout.tokens == (tokens.length if subjects else 0)


def test_the_layout_for_the_interaction(tokenize):
    tokens = tokenize_template(tokenize, "A man is playing guitar.", ["man", "guitar"])
    assert tokens.layout == TextLayout((12, 5), ((24, 24), (24, 24)))


def test_a_prompt_that_starts_with_line_breaks_is_cropped_as_comfyui_does(tokenize):
    """They merge with the header's; ComfyUI keeps the header's last token then."""
    tokens = tokenize_template(tokenize, "\nA cat.", [])
    assert tokens.crop_start == 93 and tokens.cropped_ids[0] == template.HEADER_END


def test_forty_subjects(tokenize):
    """Nothing is cut, and each has its text and its picture at their own places."""
    subjects = [f"subject number {number}" for number in range(1, 41)]
    prompt = ", ".join(subjects)
    tokens = tokenize_template(tokenize, prompt, subjects)
    assert tokens.string.count("looks like<image>") == tokens.ids.count(IMAGE_ID) == 40
    assert tokens.image_grids == ((24, 24),) * 40 == tokens.layout.image_grids
    assert tokens.layout.tokens == tokens.length == len(tokens.cropped_ids) + 40 * 575
    assert tokens.positions == tokens.length + 95 and not tokens.layout.tail
    plain, position = list(tokens.cropped_ids), 0
    for number, (text, image) in enumerate(zip(tokens.text_spans, tokens.image_spans), start=1):
        assert text[0] == position and image == (text[1], text[1] + 576)
        # The text in front of each picture, as the tokenizer reads it alone.
        line = "" if number == 1 else f"\nThe subject number {number} looks like"
        length = text[1] - text[0]
        assert plain[length] == IMAGE_ID and (not line or list(tokenize(line)[1:]) == plain[:length])
        plain, position = plain[length + 1:], image[1]
    assert not plain and position == tokens.length


def test_a_text_up_to_what_the_text_encoder_can_take(tokenize, monkeypatch):
    subjects = ["man", "guitar"]
    most = tokenize_template(tokenize, "A man is playing guitar.", subjects).positions
    monkeypatch.setattr(template, "MOST_POSITIONS", most)
    assert tokenize_template(tokenize, "A man is playing guitar.", subjects).positions == 95 + 1169 == most
    monkeypatch.setattr(template, "MOST_POSITIONS", most - 1)
    with pytest.raises(LumosXError, match=f"^relations: the prompt and its 2 pictures take {most} positions"):
        tokenize_template(tokenize, "A man is playing guitar.", subjects)
    # Without subjects it is ComfyUI's to encode.
    assert tokenize_template(tokenize, "word " * 3000, [])


@pytest.mark.parametrize("bad", ["a <image> b", "a<|eot_id|>", "<pad>", "<|start_header_id|>user"])
def test_control_tokens_are_refused(tokenize, bad):
    with pytest.raises(LumosXError, match="^prompt: "):
        tokenize_template(tokenize, bad, [])
    with pytest.raises(LumosXError, match="^subject 2: "):
        tokenize_template(tokenize, "a man", ["man", bad])


def test_an_empty_word_and_a_missing_picture_are_refused(tokenize):
    with pytest.raises(LumosXError, match="^subject 1: "):
        tokenize_template(tokenize, "a man", [" "])
    with pytest.raises(LumosXError, match="^subjects: 2 words but 1"):
        tokenize_template(tokenize, "a man", ["a", "b"], [(2, 2)])


def test_a_tokenizer_that_adds_to_the_end_is_refused(tokenize):
    def longer(text):
        return [*tokenize(text), 5]

    assert tokenize_template(longer, "a man", []).text_spans[0][1] == tokenize_template(
        tokenize, "a man", []).text_spans[0][1] + 1
    with pytest.raises(LumosXError, match="^clip: its tokenizer cannot read"):
        tokenize_template(longer, "a man", ["man"])


@pytest.mark.parametrize("tokenize", [
    lambda text: [1, *text.encode()],
    lambda text: [128000, 128006, 882, 128007, 271, 5] if text.startswith("<") else [128000, 5],
], ids=["of another model", "without control tokens"])
def test_another_tokenizer_is_refused(tokenize):
    with pytest.raises(LumosXError, match="^clip: "):
        tokenize_template(tokenize, "a man", ["man"])


@pytest.mark.parametrize("wrong", [
    pytest.param(lambda prompt, lines: f"{prompt}<|eot_id|>" + lines.replace("<image>", " <image>"), id="a space"),
    pytest.param(lambda prompt, lines: f"{prompt}<|eot_id|>" + lines.replace("<image>", "<image>."), id="a stop"),
    pytest.param(lambda prompt, lines: f"{prompt}{lines}<|eot_id|>", id="separator at the end"),
    pytest.param(lambda prompt, lines: f"{prompt.strip()}<|eot_id|>{lines}", id="stripped"),
    pytest.param(lambda prompt, lines: f"{prompt}<|eot_id|>{lines.replace(chr(10), ' ')}", id="no line breaks"),
    pytest.param(lambda prompt, lines: f"{prompt}<|eot_id|>{lines.lower()}", id="a small letter"),
    pytest.param(lambda prompt, lines: f"{prompt[:200]}<|eot_id|>{lines}", id="cut"),
])
def test_the_golden_file_notices_another_template(tokenize, wrong):
    differing = 0
    for case in CASES:
        lines = "".join(f"\nThe {word} looks like<image>" for word in case["subjects"])
        string = f"{template.SYSTEM}{template.USER}{wrong(case['prompt'], lines)}"
        differing += tokenize(string) != case["ids"]
    assert differing


@pytest.mark.parametrize("wrong", [
    lambda prompt: prompt.replace("{", "").replace("}", ""), lambda prompt: prompt.replace("(small:1.3)", "small"),
], ids=["braces formatted away", "weights parsed"])
def test_the_golden_file_notices_prompts_that_are_not_plain_text(tokenize, wrong):
    case = next(case for case in CASES if case["name"] == "braces_and_weights")
    assert list(tokenize_template(tokenize, case["prompt"], case["subjects"]).ids) == case["ids"]
    assert list(tokenize_template(tokenize, wrong(case["prompt"]), case["subjects"]).ids) != case["ids"]

"""A prompt bound to a scene, by a real tokenizer and by letters alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.errors import LumosXError
from lumosx_core.models.lumosx.sequence import Binding
from lumosx_core.scene.binding import bind_prompt, letter_tokens, missing_phrases
from lumosx_core.scene.phrases import marked_text
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from support.tokens import small_tokenizer

PICTURE = torch.rand(1, 8, 8, 3)
PROMPT = "A man in a red hat and a Man in a blue scarf stand in a park."


@pytest.fixture(scope="module")
def tokenizer():
    return small_tokenizer()


def of(kind, phrase, occurrence=0):
    return Reference(kind, phrase, PICTURE, occurrence, f"LumosX {kind.value}")


def two_men():
    hat, scarf = (Subject(of(Kind.FACE, "man", number), (of(Kind.ATTRIBUTE, thing),))
                  for number, thing in ((1, "red hat"), (2, "blue scarf")))
    return Scene(of(Kind.BACKGROUND, "park"), (), (hat, scarf))


def test_every_reference_is_found_by_its_own_words(tokenizer):
    scene = two_men()
    for cut in (tokenizer, letter_tokens):
        bound = bind_prompt(cut, scene, PROMPT)
        words = [marked_text(bound.tokens, bound.spans_of(word)) for word in scene.words]
        assert words == ["park", "man", "red hat", "Man", "blue scarf"]
        first, second = bound.subject_spans
        assert len(first) == len(second) == 2 and first[0] < first[1] < second[0] < second[1]
        binding = Binding.of(bound)
        assert binding == Binding(bound.non_human_spans, bound.subject_spans, (2, 2))


def test_each_text_is_cut_under_the_name_of_its_input(tokenizer):
    asked = []

    def noting(text, source):
        asked.append((text, source))
        return tokenizer(text, source)

    bind_prompt(noting, two_men(), PROMPT)
    assert asked == [
        (PROMPT, "prompt"), ("park", "LumosX background"), ("man", "LumosX face"), ("red hat", "LumosX attribute"),
        ("man", "LumosX face"), ("blue scarf", "LumosX attribute"),
    ]


def test_a_phrase_that_is_missing_or_too_rare_is_named_by_its_input(tokenizer):
    for phrase, occurrence in (("coat", 0), ("park", 2)):
        scene = Scene(objects=(of(Kind.OBJECT, phrase, occurrence),))
        for cut in (tokenizer, letter_tokens):
            with pytest.raises(LumosXError, match=f'^LumosX object: .*"{phrase}"'):
                bind_prompt(cut, scene, PROMPT)
        assert missing_phrases(scene, PROMPT) == [phrase]


def test_letters_are_read_as_the_text_encoder_reads_them():
    assert missing_phrases(two_men(), PROMPT.replace("red hat", "(red,  HAT:1.2)").replace("blue", "bl&#117;e")) == []
    with pytest.raises(LumosXError, match="^LumosX object: inf cannot be the weight"):
        missing_phrases(Scene(objects=(of(Kind.OBJECT, "(hat:inf)"),)), PROMPT)


@given(
    st.lists(st.sampled_from(["man", "Men", "hat", "hats,", "夹克", "남자가", "(hat:1.2)", "t-shirt"]), max_size=6),
    st.lists(st.sampled_from(["man", "hat", "at", "夹", "남자", "t", "shirt"]), min_size=1, max_size=2),
    st.integers(0, 2),
)
def test_letters_miss_nothing_that_the_tokenizer_finds(tokenizer, prompt, phrase, occurrence):
    scene = Scene(objects=(of(Kind.OBJECT, " ".join(phrase), occurrence),))
    try:
        bind_prompt(lambda text, source: tokenizer(text.replace("(hat:1.2)", "hat"), source), scene, " ".join(prompt))
    except LumosXError:
        return
    assert missing_phrases(scene, " ".join(prompt)) == []

"""Which references are there in which part of the sampling, against scenes that have no others."""

import pytest
import torch

from lumosx_core.models.lumosx import RelationalOptions, TableCache
from lumosx_core.models.lumosx.presence import Presence
from lumosx_core.models.lumosx.sequence import Binding, SequenceLayout
from lumosx_core.models.lumosx.tables import make_tables
from lumosx_core.scene.binding import bind_prompt, letter_tokens
from lumosx_core.scene.influence import FULL, Influence
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject

PROMPT = "a woman with a red hat and a man with a coat near a lamp in a kitchen"
IMAGE = torch.zeros(1, 8, 8, 3)
EARLY, LATE = Influence(end=0.5), Influence(start=0.5)


def reference(kind, phrase, influence=FULL, image=IMAGE):
    return Reference(kind, phrase, image, influence=influence)


def scene(kitchen=FULL, lamp=FULL, woman=FULL, hat=FULL, man=FULL, coat=FULL, only=None):
    """``only`` names the references that the scene has at all."""
    def made(kind, phrase, influence):
        return reference(kind, phrase, influence) if only is None or phrase in only else None

    def person(face, phrase, face_influence, thing, thing_influence):
        face = made(Kind.FACE, phrase, face_influence)
        things = tuple(filter(None, [made(Kind.ATTRIBUTE, thing, thing_influence)]))
        return Subject(face, things) if face or things else None

    lamps = filter(None, [made(Kind.OBJECT, "lamp", lamp)])
    people = person("face", "woman", woman, "red hat", hat), person("face", "a man", man, "coat", coat)
    return Scene(made(Kind.BACKGROUND, "kitchen", kitchen), tuple(lamps), tuple(filter(None, people)))


def bound(*arguments, **options):
    return bind_prompt(letter_tokens, scene(*arguments, **options), PROMPT)


def sigma_of(share):
    return 1 - share


def at(presence, sigma):
    return presence.at(sigma, sigma_of)


def test_without_limits_it_is_the_binding_of_the_scene():
    presence = Presence.of(bound())
    assert not presence.is_limited
    everything = at(presence, 0.3)
    assert all(everything) and presence.binding(everything) == Binding.of(bound())
    assert presence.pictures(everything) == (0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize(("limits", "left"), [
    ({"kitchen": LATE}, ["lamp", "woman", "red hat", "a man", "coat"]),
    ({"woman": LATE}, ["kitchen", "lamp", "red hat", "a man", "coat"]),
    ({"hat": LATE, "lamp": LATE}, ["kitchen", "woman", "a man", "coat"]),
    ({"woman": LATE, "hat": LATE}, ["kitchen", "lamp", "a man", "coat"]),
    ({"kitchen": LATE, "lamp": LATE, "man": LATE, "coat": LATE}, ["woman", "red hat"]),
])
def test_at_each_step_it_is_the_binding_of_a_scene_without_the_others(limits, left):
    presence = Presence.of(bound(**limits))
    early = at(presence, 0.8)
    assert presence.is_limited
    assert presence.binding(early) == Binding.of(bound(only=left))
    order = ["kitchen", "lamp", "woman", "red hat", "a man", "coat"]
    assert [order[place] for place in presence.pictures(early)] == left
    assert presence.binding(at(presence, 0.2)) == Binding.of(bound())


def test_where_one_ends_and_another_begins_both_are_there():
    presence = Presence.of(bound(woman=EARLY, man=LATE))
    assert [at(presence, sigma)[2::2] for sigma in (1.0, 0.51, 0.5, 0.49, 0.0)] == [
        (True, False), (True, False), (True, True), (False, True), (False, True)
    ]


def test_nothing_is_left_when_everything_is_absent():
    parts = dict.fromkeys(("kitchen", "lamp", "woman", "hat", "man", "coat"), EARLY)
    presence = Presence.of(bound(**parts))
    assert presence.binding(at(presence, 0.2)) == Binding((), (), ())
    assert presence.pictures(at(presence, 0.2)) == ()


def test_words_whose_picture_is_absent_leave_those_that_never_had_one():
    woman = reference(Kind.FACE, "woman", image=None)
    person = Subject(woman, (reference(Kind.ATTRIBUTE, "red hat", EARLY),))
    man = Subject(reference(Kind.FACE, "a man"))
    presence = Presence.of(bind_prompt(letter_tokens, Scene(None, (), (person, man)), PROMPT))
    late = at(presence, 0.2)
    without = Scene(None, (), (Subject(woman), man))
    assert presence.binding(late) == Binding.of(bind_prompt(letter_tokens, without, PROMPT))
    assert presence.binding(late).subject_images == (0, 1)
    assert presence.pictures(late) == (1,)


def test_strengths_go_with_their_references():
    presence = Presence.of(bound(lamp=Influence(0.5), woman=Influence(2, 0.5)))
    assert presence.binding(at(presence, 0.2)).strengths == (1, 0.5, 2, 1, 1, 1)
    assert presence.binding(at(presence, 0.8)).strengths == (1, 0.5, 1, 1, 1)
    only_woman = Presence.of(bound(woman=Influence(2, 0.5)))
    assert only_woman.binding(at(only_woman, 0.8)).strengths == ()


def test_a_run_makes_the_texts_keys_once_however_many_layouts_it_has(wan):
    context = torch.randn(1, 512, 64, generator=torch.Generator().manual_seed(0))
    context[:, 100:] = 0
    presence, cache = Presence.of(bound(woman=EARLY, hat=EARLY, lamp=LATE)), TableCache()
    layouts = [SequenceLayout(2, 4, 4, presence.binding(at(presence, sigma))) for sigma in (0.9, 0.1, 0.9)]
    found = [cache.find(wan, context, layout, RelationalOptions()) for layout in layouts]
    assert found[0] is found[2] and found[0].texts is found[1].texts
    fresh = make_tables(wan, context, layouts[1], RelationalOptions())
    assert all(torch.equal(one.keys, other.keys) for one, other in zip(fresh.texts, found[1].texts))
    assert torch.equal(fresh.rotary, found[1].rotary)
    # A text in which other pads stand apart has other keys.
    far = SequenceLayout(2, 4, 4, Binding((((300, 301),),), (), ()))
    assert cache.find(wan, context, far, RelationalOptions()).texts[0].keys.shape[1] == 320

"""LumosX Views behind its schema, on real photographs."""

import itertools

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.faces.catalogue import CENTERFACE
from lumosx_core.faces.picking import LEFT_TO_RIGHT
from lumosx_core.host.conditioning.scene import attributes_of, join_scene, objects_of, subject_of
from lumosx_core.host.media.faces import CropPlan, crop_faces
from lumosx_core.host.media.views import ViewsPlan, choose_views
from lumosx_core.media.views import BEST, EACH, FACE, THING


@pytest.fixture(scope="module")
def views(six, astronaut):
    """A straight face, the same soft, and one that is turned away."""
    plan = CropPlan(LEFT_TO_RIGHT, "5", False, CENTERFACE, "automatic")
    soft = torch.nn.functional.avg_pool2d(astronaut.movedim(-1, 1), 9, 1, 4).movedim(1, -1)
    return {"straight": astronaut, "soft": soft, "turned": crop_faces(six, None, plan)[1][0]}


def plan(shows=FACE, use=BEST, phrase="", occurrence=0, detector=CENTERFACE):
    return ViewsPlan(shows, use, phrase, occurrence, detector)


def inputs(*images):
    return {f"image_{number}": image for number, image in enumerate(images, 1)}


@pytest.mark.slow
def test_the_best_is_the_best_wherever_it_is_linked(views):
    for names in itertools.permutations(views):
        best, others, report = choose_views(inputs(*(views[name] for name in names)), None, plan())
        assert torch.equal(best, views["straight"]) and others == ()
        assert report.startswith(f"- Best: image_{names.index('straight') + 1}, first in ")
        assert "Left out: " in report


def test_a_batch_holds_several_views(views):
    batch = torch.cat([views["soft"], views["straight"]])
    best, _, report = choose_views({"image_1": None, "image_2": batch}, None, plan())
    assert torch.equal(best, views["straight"]) and "- Best: image_2 view 2, " in report


def test_each_becomes_an_attribute_of_the_person(views):
    previous = objects_of(torch.rand(1, 4, 5, 3), "red hat", None, 0)
    best, others, report = choose_views(
        inputs(*views.values()), previous, plan(use=EACH, phrase=" tall  man ", occurrence=2)
    )
    assert [(one.phrase, one.occurrence) for one in others] == [("red hat", 0), ("tall man", 2), ("tall man", 2)]
    assert any(torch.equal(others[1].image, views[name]) for name in ("soft", "turned"))
    assert "the model was trained with one of each in a group" in report
    subject = subject_of("tall man", best, 0, attributes_of({}, (), others))
    assert len(subject.references) == 4


def test_each_becomes_an_object(views):
    best, others, _ = choose_views(inputs(*views.values()), None, plan(THING, EACH, "white lamp"))
    scene, _ = join_scene([], [objects_of(best, "white lamp", others, 0)], None, None)
    assert [one.phrase for one in scene.objects] == ["white lamp"] * 3


def test_the_best_alone_keeps_what_came_before(views):
    previous = objects_of(torch.rand(1, 4, 5, 3), "red hat", None, 0)
    assert choose_views(inputs(views["soft"]), previous, plan())[1] == previous


def test_a_sharp_large_thing_is_best(six):
    soft = torch.nn.functional.avg_pool2d(six.movedim(-1, 1), 9, 1, 4).movedim(1, -1)
    best, _, report = choose_views(inputs(six[:, ::8, ::8], soft, six), None, plan(THING))
    assert torch.equal(best, six) and "- Best: image_3, first in sharpness" in report


def test_what_is_wrong_with_the_best_is_said(views, caplog):
    report = choose_views(inputs(views["turned"]), None, plan())[2]
    assert "**Warning:** image_1, the best view: it is turned far away" in report
    assert "LumosX Views: image_1, the best view: it is turned far away" in caplog.text


def test_transparency_becomes_white():
    assert (choose_views(inputs(torch.zeros(1, 9, 9, 4)), None, plan(THING))[0] == 1).all()


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (plan(use=EACH), "phrase: it is empty"),
        (plan(use="none"), "use: 'none' is not known"),
        (plan("a dog"), "shows: 'a dog' is not known"),
        (plan(detector="none"), "detector: 'none' is not known"),
    ],
)
def test_bad_widgets_end_in_a_sentence(astronaut, made, sentence):
    with pytest.raises(LumosXError, match=sentence):
        choose_views(inputs(astronaut), None, made)


def test_views_that_are_no_single_face(astronaut, six):
    with pytest.raises(LumosXError, match="LumosX Views image_1: nothing is linked"):
        choose_views(inputs(None, None), None, plan())
    with pytest.raises(LumosXError, match="LumosX Views image_2: CenterFace finds no face"):
        choose_views(inputs(astronaut, torch.rand(1, 64, 64, 3)), None, plan())
    batch = torch.cat([astronaut, torch.rand(1, 512, 512, 3)])
    with pytest.raises(LumosXError, match="LumosX Views image_1 view 2: CenterFace finds no face"):
        choose_views(inputs(batch), None, plan())
    with pytest.raises(LumosXError, match="image_1: CenterFace finds 6 faces"):
        choose_views(inputs(six), None, plan())

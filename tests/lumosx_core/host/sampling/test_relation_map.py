"""LumosX Relation Map on a small model through ComfyUI's own samplers."""

import dataclasses

import pytest
import torch

from lumosx_core.errors import LumosXError
from lumosx_core.host.media.relation_map import check_relations, show_map
from lumosx_core.host.methods.lumosx import relational_model
from lumosx_core.host.sampling.relation_map import (
    MapPlan,
    parse_blocks,
    parse_levels,
    references_of,
    relation_map,
)
from lumosx_core.host.sampling.sampler import SamplingPlan, run_sampler
from lumosx_core.models.lumosx import RelationalOptions
from lumosx_core.models.wan.config import WAN21_LATENT
from lumosx_core.scene.influence import Influence
from lumosx_core.scene.relations import Scene

ALL = frozenset(range(512))


@pytest.fixture(scope="module")
def model(tiny):
    return relational_model(tiny[0], RelationalOptions())


@pytest.fixture(scope="module")
def scene(make_scene):
    return make_scene()


@pytest.fixture(scope="module")
def encoded(encode, scene):
    return encode(scene)


@pytest.fixture(scope="module")
def video(encoded):
    return torch.randn(encoded.latent["samples"].shape, generator=torch.Generator().manual_seed(3))


def test_a_share_for_each_reference_and_token_of_the_video(model, encoded, video, scene):
    given = video.clone()
    shares = relation_map(model, encoded.positive, {"samples": video}, MapPlan(blocks=ALL))
    assert shares.shape == (1, len(scene.references), *WAN21_LATENT.token_grid(video.shape))
    assert (shares > 0).all() and (shares.sum(1) < 1).all()
    assert torch.equal(video, given)
    again = relation_map(model, encoded.positive, {"samples": video}, MapPlan(blocks=ALL))
    assert torch.equal(shares, again)
    other = relation_map(model, encoded.positive, {"samples": video}, MapPlan(blocks=ALL, seed=1))
    assert not torch.equal(shares, other)


def test_the_model_samples_the_same_bits_afterwards_and_keeps_nothing(model, encoded, video):
    def sample():
        return run_sampler(
            model, encoded.positive, encoded.negative, encoded.latent, SamplingPlan(seed=0, steps=2)
        )["samples"]

    before, options = sample(), dict(model.model_options["transformer_options"])
    relation_map(model, encoded.positive, {"samples": video}, MapPlan())
    assert torch.equal(sample(), before) and dict(model.model_options["transformer_options"]) == options


def test_levels_and_blocks_are_averaged(model, encoded, video):
    latent = {"samples": video}

    def shares(**plan):
        return relation_map(model, encoded.positive, latent, MapPlan(**plan))

    both = shares(levels=(0.9, 0.3), blocks=ALL)
    torch.testing.assert_close(both, (shares(levels=(0.9,), blocks=ALL) + shares(levels=(0.3,), blocks=ALL)) / 2)
    blocks = [shares(blocks=frozenset({number})) for number in range(4)]
    torch.testing.assert_close(shares(blocks=ALL), sum(blocks) / 4)
    torch.testing.assert_close(shares(), (blocks[2] + blocks[3]) / 2)


def test_a_reference_of_strength_0_is_not_read_and_a_stronger_one_more(model, encode, scene, video):
    def shares(strength):
        park = dataclasses.replace(scene.background, influence=Influence(strength=strength))
        changed = encode(Scene(park, scene.objects, scene.subjects))
        return relation_map(model, changed.positive, {"samples": video}, MapPlan(blocks=frozenset({0})))[:, 0]

    assert shares(0.0).max() < 1e-6
    usual, strong = shares(1.0), shares(3.0)
    torch.testing.assert_close(strong, 3 * usual / (1 + 2 * usual), rtol=1e-3, atol=1e-5)


def test_a_reference_of_other_steps_is_not_there(model, encode, scene, video):
    park = dataclasses.replace(scene.background, influence=Influence(end=0.3))
    early = encode(Scene(park, scene.objects, scene.subjects)).positive
    plain = encode(Scene(None, scene.objects, scene.subjects)).positive
    plan = MapPlan((0.2,), ALL)
    shares = relation_map(model, early, {"samples": video}, plan)
    assert not shares[:, 0].any()
    torch.testing.assert_close(shares[:, 1:], relation_map(model, plain, {"samples": video}, plan))


def test_each_video_of_a_batch_has_its_own(model, encode, scene, video):
    two = torch.cat([video, 2 * video.flip(-1)])
    shares = relation_map(model, encode(scene, batch=2).positive, {"samples": two}, MapPlan(blocks=ALL))
    assert len(shares) == 2 and not torch.equal(shares[0], shares[1])
    shown = show_map(shares, scene, None)
    assert len(shown.overlay) == 2 * WAN21_LATENT.video_frames(video.shape[2])


def test_what_is_shown_fits_the_video(model, encoded, video, scene):
    shares = relation_map(model, encoded.positive, {"samples": video}, MapPlan(blocks=ALL))
    frames = WAN21_LATENT.video_frames(video.shape[2])
    images = torch.rand(frames, 40, 64, 3, generator=torch.Generator().manual_seed(1))
    given = images.clone()
    shown = show_map(shares, scene, images)
    assert shown.overlay.shape == images.shape and not torch.allclose(shown.overlay, images, atol=0.1)
    assert torch.equal(images, given)
    assert shown.heat.shape == (shares.shape[1] * shares.shape[2], *shares.shape[3:])
    assert shown.heat.min() == 0 and shown.heat.max() == 1
    assert shown.report.count("\n") == 1 + len(scene.references)
    assert all(word.phrase in shown.report for word in scene.references)
    assert shown.grid.shape[0] == 1 and shown.grid.shape[1] > shown.grid.shape[2] / 8


def test_what_does_not_fit_is_named(model, encoded, video, scene):
    shares = relation_map(model, encoded.positive, {"samples": video}, MapPlan(blocks=ALL))
    with pytest.raises(LumosXError, match="^images: there are 2 frames"):
        show_map(shares, scene, torch.rand(2, 8, 8, 3))
    with pytest.raises(LumosXError, match="^relations: they have"):
        check_relations(Scene(scene.background), references_of(encoded.positive))
    with pytest.raises(LumosXError, match="^blocks: none"):
        relation_map(model, encoded.positive, {"samples": video}, MapPlan(blocks=frozenset({99})))
    with pytest.raises(LumosXError, match="^positive: it contains no references"):
        references_of([[torch.zeros(1, 2, 3), {}]])
    with pytest.raises(LumosXError, match="^latent:"):
        relation_map(model, encoded.positive, {"samples": torch.zeros(1, 48, 1, 4, 4)}, MapPlan())


@pytest.mark.parametrize("text", ["", "0", "1.1", "nan", "a", "0.5,", "0.5 0.6", "-0.5", ",".join(["0.5"] * 17)])
def test_levels_out_of_range_are_refused(text):
    with pytest.raises(LumosXError, match="^noise_levels:"):
        parse_levels(text)


def test_levels_and_blocks_as_users_write_them():
    assert parse_levels(" 0.9,1 , .5") == (0.9, 1.0, 0.5)
    assert parse_blocks("deep") is None and parse_blocks(" ") is None and parse_blocks("2-4, 9") == {2, 3, 4, 9}
    assert parse_blocks("All") == ALL
    with pytest.raises(LumosXError, match="^blocks:"):
        parse_blocks("first")

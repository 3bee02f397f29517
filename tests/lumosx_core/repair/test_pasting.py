"""Cutting out and pasting back: a soft edge, and not a bit outside of it."""

import torch

from lumosx_core.repair.pasting import cut_out, ellipses, paste, resized, softened
from lumosx_core.repair.windows import Window

WINDOW = Window(40, 40, ((10, 20), (12, 20)))
BOXES = ((20.0, 30.0, 40.0, 50.0), (22.0, 30.0, 42.0, 50.0))


def test_weights_are_whole_inside_soft_outside_and_nothing_farther_away():
    masks = ellipses(BOXES, WINDOW, 0.0)
    assert masks.shape == (2, 40, 40) and torch.equal(masks[0], masks[1]) and 300 < masks[0].sum() < 328
    weights = softened(masks, 6, WINDOW, 200, 100)
    assert (weights[masks > 0] == 1).all() and ((weights > 0) & (weights < 1)).any()
    assert weights[0, 20, 36:].max() == 0 and weights[0, 20, 31] > weights[0, 20, 33] > 0
    assert torch.equal(softened(masks, 0, WINDOW, 200, 100), masks)


def test_weights_end_at_the_windows_edge_but_not_at_the_videos():
    full = torch.ones(1, 40, 40)
    inside = softened(full, 4, Window(40, 40, ((10, 20),)), 200, 100)[0]
    assert inside[0].max() == inside[-1].max() == inside[:, 0].max() == inside[:, -1].max() == 0 and inside[20, 20] == 1
    corner = softened(full, 4, Window(40, 40, ((0, 0),)), 200, 100)[0]
    assert corner[0, 0] == 1 and corner[:, -1].max() == 0 and corner[-1].max() == 0


def test_pasting_changes_nothing_where_weights_are_nothing():
    picture = torch.rand(100, 200, 4, generator=torch.Generator().manual_seed(1))
    before = picture.clone()
    weights = softened(ellipses(BOXES[:1], Window(40, 40, WINDOW.corners[:1]), 0.0), 6, WINDOW, 200, 100)[0]
    paste(picture, torch.zeros(40, 40, 3), weights, WINDOW.corners[0])
    new = torch.zeros(100, 200, dtype=torch.bool)
    new[20:60, 10:50] = weights > 0
    assert torch.equal(picture[~new], before[~new]) and torch.equal(picture[..., 3], before[..., 3])
    assert (picture[40, 30, :3] == 0).all() and (picture[..., :3][new] <= before[..., :3][new]).all()


def test_a_window_is_cut_out_where_it_is_in_each_frame():
    images = torch.arange(2 * 100 * 200 * 3).reshape(2, 100, 200, 3).float() / 120_000
    cut = cut_out(images, WINDOW, range(2), (40, 40))
    assert torch.equal(cut[0], images[0, 20:60, 10:50]) and torch.equal(cut[1], images[1, 20:60, 12:52])
    assert resized(cut, (80, 64)).shape == (2, 64, 80, 3) and resized(cut, (40, 40)) is cut

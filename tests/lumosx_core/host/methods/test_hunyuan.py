"""Patches of blocks, whatever method puts them there."""

from lumosx_core.host.methods.hunyuan import with_patches


def test_another_nodes_patch_runs_inside_and_what_was_given_stays():
    theirs = {("double_block", 0): "theirs", ("single_block", 1): "other"}
    given = {"patches_replace": {"dit": dict(theirs), "attn1": {}}, "other": 1}
    made = with_patches(given, "double_block", (0, 1), lambda index, inner: (index, inner))
    assert given == {"patches_replace": {"dit": theirs, "attn1": {}}, "other": 1}
    assert made["patches_replace"]["dit"] == {
        ("double_block", 0): (0, "theirs"), ("double_block", 1): (1, None), ("single_block", 1): "other",
    }
    assert made["patches_replace"]["attn1"] == {} and made["other"] == 1
    assert with_patches({}, "single_block", (2,), lambda index, inner: index) == {
        "patches_replace": {"dit": {("single_block", 2): 2}}
    }

"""dev.py bench polyvivid, on a scene."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import polyvivid
from lumosx_core.models.polyvivid.adapter import PolyVividAdapter
from lumosx_core.models.polyvivid.checkpoint import write_adapter
from lumosx_core.tiny.hunyuan import adapter_config
from lumosx_core.tiny.world.measure import PERSON, PlaceMatch
from support.hunyuan_files import filled
from support.tiny_hunyuan import skip_without_tokenizer, write_small_hunyuan


def person(owner, own, other):
    distances = (own, other) if owner == 0 else (other, own)
    return PlaceMatch(owner, PERSON, distances)


def test_shares_and_owners_are_counted_over_all_people():
    found = [[person(0, 1.0, 5.0), person(1, 2.0, 4.0)], [person(0, 3.0, 9.0), person(1, 8.0, 4.0)]]
    summary = polyvivid.summary(found)
    assert summary["scenes"] == 2 and summary["own"]["count"] == 4
    assert summary["own"]["share"] == 0.75 and summary["own"]["low"] < 0.75 < summary["own"]["high"]
    assert summary["owners"] == [[1.0, 0.0], [0.5, 0.5]]
    assert summary["colour_error"] == pytest.approx((1 + 2 + 3 + 8) / 4)


def test_the_documentation_has_the_committed_results():
    """A row for each variant, with the adapter above what the pack promises."""
    result = json.loads(polyvivid.RESULTS.read_text(encoding="utf-8"))
    docs = Path(polyvivid.__file__).parents[1].joinpath("docs", "polyvivid.md").read_text(encoding="utf-8")
    for row in result["rows"]:
        own, name = row["own"], {"full": "the adapter", "adapter off": "adapter off"}.get(row["variant"])
        share = " ".join([f"{100 * own['share']:.1f} %", f"({100 * own['low']:.1f} to {100 * own['high']:.1f})"])
        assert f"| {name or '`' + row['variant'] + '`'} | {share} | {row['colour_error']:.1f} |" in docs
    full, off = (row["own"] for row in result["rows"][:2])
    assert full["count"] == 200 and full["share"] >= 0.9 and off["low"] < 0.5 < off["high"]


@pytest.mark.slow
def test_every_variant_that_was_trained_is_a_row(tmp_path, capsys, monkeypatch):
    skip_without_tokenizer()
    import folder_paths

    base = write_small_hunyuan(tmp_path / "base.safetensors")
    with torch.inference_mode(False):
        adapter = filled(PolyVividAdapter(adapter_config()), 3)
    write_adapter(tmp_path / "adapter.safetensors", adapter, torch.bfloat16)
    folder = tmp_path / "ablations"
    folder.mkdir()
    write_adapter(folder / "no-fusion.safetensors", adapter, torch.bfloat16)
    (folder / "concatenation.safetensors").write_bytes(base.read_bytes())
    patches = tmp_path / "models" / "model_patches"
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "model_patches", ([str(patches)], {".safetensors"}))
    monkeypatch.setattr(polyvivid, "CASTS", 1)
    arguments = [
        "--base", base, "--adapter", tmp_path / "adapter.safetensors", "--ablations", folder, "--scenes", "1",
        "--steps", "2", "--json", tmp_path / "found.json",
    ]
    assert polyvivid.main([*map(str, arguments)], tmp_path) == 0
    printed = capsys.readouterr().out
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert [row["variant"] for row in rows] == ["full", "adapter off", "no-fusion", "concatenation"]
    assert all(row["own"]["count"] == 2 and f"| {row['variant']} | 1 |" in printed for row in rows)
    assert len({row["colour_error"] for row in rows}) == 4

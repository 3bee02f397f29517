"""The bench of the small codec on a few scenes, with bounds that break when it paints worse than it did."""

import io
import json

import pytest
from PIL import Image

from benchmarks import codec

pytestmark = pytest.mark.slow
SCENES, STEPS = 4, 8
"""Half the bench's own steps; what is painted of their latents is well within the bounds below."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """By what was decoded."""
    folder = tmp_path_factory.mktemp("codec")
    base = folder / "base"
    (base / "models" / "diffusion_models").mkdir(parents=True)
    import folder_paths

    patch = pytest.MonkeyPatch()
    patch.setattr(codec, "STEPS", STEPS)
    known = folder_paths.folder_names_and_paths["diffusion_models"]
    folder_paths.folder_names_and_paths["diffusion_models"] = ([str(base / "models" / "diffusion_models")], *known[1:])
    try:
        code = codec.main(
            ["--scenes", str(SCENES), "--json", str(folder / "rows.json"), "--picture", str(folder / "sheet.jpg")], base
        )
    finally:
        folder_paths.folder_names_and_paths["diffusion_models"] = known
        patch.undo()
    assert code == 0
    assert Image.open(io.BytesIO((folder / "sheet.jpg").read_bytes())).size == (3 * 256, SCENES * 192)
    return {row["latents"]: row for row in json.loads((folder / "rows.json").read_text())["rows"]}


def test_every_row_is_of_every_scene(rows):
    assert {kind: row["clips"] for kind, row in rows.items()} == {codec.TRUE: SCENES, codec.MADE: SCENES}


def test_true_latents_are_painted_near_to_the_drawings_with_their_patterns(rows):
    true = rows[codec.TRUE]
    assert true["PSNR"] > 21 and true["colour error"] < 13 and 0.85 < true["sharpness"] < 1.1
    assert true["patterns"]["share"] > 0.85


def test_made_latents_are_painted_without_what_the_model_did_not_give(rows):
    true, made = rows[codec.TRUE], rows[codec.MADE]
    assert 14 < made["PSNR"] < true["PSNR"] and made["colour error"] < 40


def test_the_table_has_a_line_for_each_row(rows):
    text = codec.table(list(rows.values()))
    assert len(text.splitlines()) == 2 + len(rows) and "dB" in text

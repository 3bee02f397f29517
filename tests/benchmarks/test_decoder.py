"""The bench of the learned decoder on a few scenes, with bounds that break when it paints worse than blocks."""

import io
import json

import pytest
from PIL import Image

from benchmarks import decoder

pytestmark = pytest.mark.slow
SCENES = 4


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """By what was decoded and by which decoder."""
    folder = tmp_path_factory.mktemp("decoder")
    base = folder / "base"
    (base / "models" / "diffusion_models").mkdir(parents=True)
    import folder_paths

    known = folder_paths.folder_names_and_paths["diffusion_models"]
    folder_paths.folder_names_and_paths["diffusion_models"] = ([str(base / "models" / "diffusion_models")], *known[1:])
    try:
        code = decoder.main(
            ["--scenes", str(SCENES), "--json", str(folder / "rows.json"), "--picture", str(folder / "sheet.jpg")], base
        )
    finally:
        folder_paths.folder_names_and_paths["diffusion_models"] = known
    assert code == 0
    assert Image.open(io.BytesIO((folder / "sheet.jpg").read_bytes())).size == (3 * 256, SCENES * 192)
    return {
        (row["latents"], row["decoder"]): row for row in json.loads((folder / "rows.json").read_text())["rows"]
    }


def test_every_row_is_of_every_scene(rows):
    assert set(rows) == {(kind, name) for kind in ("true", "made") for name in (decoder.BLOCKS, decoder.LEARNED)}
    assert {row["pictures"] for row in rows.values()} == {SCENES}


@pytest.mark.parametrize("kind", ["true", "made"])
def test_the_learned_decoder_paints_nearer_to_the_drawings(rows, kind):
    blocks, learned = rows[kind, decoder.BLOCKS], rows[kind, decoder.LEARNED]
    assert learned["PSNR"] > blocks["PSNR"] + 0.5
    assert learned["colour error"] < blocks["colour error"]
    assert learned["sharpness"] < 1.1


def test_the_table_has_a_line_for_each_row(rows):
    text = decoder.table(list(rows.values()))
    assert len(text.splitlines()) == 2 + len(rows) and "dB" in text

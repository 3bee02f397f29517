"""The binding bench: it runs through the code of the nodes, and counts what it should."""

import io
import json

import pytest
from PIL import Image
from safetensors.torch import save_file

from benchmarks import binding
from lumosx_core.tiny.transformer import transformer_state_dict
from lumosx_core.tiny.world.measure import Fidelity, Measured, Place

NAMES = (binding.EXACT, "without MCAM", "q8_0", "EasyCache")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A few scenes of a model that knows nothing of the world."""
    import folder_paths

    folder = tmp_path_factory.mktemp("binding")
    save_file(transformer_state_dict(), folder / "model.safetensors")
    models = folder / "models" / "diffusion_models"
    known = folder_paths.folder_names_and_paths["diffusion_models"]
    folder_paths.folder_names_and_paths["diffusion_models"] = ([str(models)], *known[1:])
    try:
        assert binding.main(
            ["--model", str(folder / "model.safetensors"), "--scenes", "8", "--other-scenes", "4", "--people", "2", "3",
             "--only", *NAMES, "--steps", "4", "--json", str(folder / "rows.json"),
             "--picture", str(folder / "owners.png")], folder,
        ) == 0
    finally:
        folder_paths.folder_names_and_paths["diffusion_models"] = known
    assert Image.open(io.BytesIO((folder / "owners.png").read_bytes())).format == "PNG"
    return json.loads((folder / "rows.json").read_text(encoding="utf-8"))["rows"]


def test_every_variant_measures_every_scene(rows):
    assert [row["variant"] for row in rows] == list(NAMES)
    for row in rows:
        for result, people in zip(row["results"], (2, 3)):
            assert result["people"] == people and result["scenes"] == (8 if row["variant"] == binding.EXACT else 4)
            assert result["faces"]["count"] == people * result["scenes"]
            assert all(abs(sum(shares) - 1) < 1e-9 for shares in result["face_owners"])
            assert result["background"]["colour_error"] > 0


def test_the_options_change_what_is_made(rows):
    errors = {row["variant"]: row["results"][0]["background"]["colour_error"] for row in rows}
    first = rows[0]["results"][0]["background"]["colour_error"]
    assert len({errors[name] for name in NAMES[1:]} | {first}) == len(NAMES)


def test_shares_and_matrices_count():
    def place(owner, kind, nearest):
        return Place(owner, kind, tuple(0.0 if person == nearest else 9.0 for person in range(2)))

    class Script:
        roles = (None, None)

    clips = [
        Measured((place(0, "face", 0), place(1, "face", 0), place(0, "hat", 0), place(1, "hat", 1)), None, None),
        Measured((place(0, "face", 0), place(1, "face", 1)), Fidelity(1.0, 5.0), Fidelity(6.0, 5.0)),
    ]
    found = binding.summary([(Script, clip) for clip in clips], 2)
    assert found["faces"]["share"] == 0.75 and found["worn"]["share"] == 1.0
    assert found["face_owners"] == [[1.0, 0.0], [0.5, 0.5]]
    assert found["faces"]["low"] < 0.75 < found["faces"]["high"] < 1
    assert found["worn"]["high"] == 1.0 and found["worn"]["low"] < 0.5
    assert found["background"]["own"]["share"] == 1.0 and found["thing"]["own"]["share"] == 0.0


def test_every_option_of_the_pack_is_among_the_variants():
    names = binding.variants(16)
    assert {"without R2PE", "without CSAM", "without MCAM", "q8_0", "fp8_scaled", "EasyCache"} <= names.keys()
    assert names["guidance for 60% of the steps"].plan == {"guidance_end_step": 10}

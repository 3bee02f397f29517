"""The file that ships, and what is written down of its training."""

import io
import json

from PIL import Image
from safetensors import safe_open

from lumosx_core.tiny.trained import TRAINED, VERSION, VERSION_KEY
from lumosx_core.training import tiny_run
from lumosx_core.training.examples import CHANCE_BARE
from lumosx_core.weights.opening import open_weights
from lumosx_core.weights.transformer import find_transformer


def test_it_is_a_small_wan_checkpoint():
    assert TRAINED.stat().st_size <= 12_000_000
    with open_weights(TRAINED) as source:
        names = find_transformer(source)
        shapes = {name: tuple(source.tensors[stored].shape) for name, stored in names.items()}
        assert {source.tensors[stored].kind for stored in names.values()} == {"BF16"}
    assert shapes == tiny_run.SIZE.shapes()


def test_its_record_is_that_of_its_command():
    record = json.loads(TRAINED.with_suffix(".json").read_text(encoding="utf-8"))
    with safe_open(TRAINED, "pt") as file:
        metadata = file.metadata()
    assert metadata[VERSION_KEY] == VERSION
    assert record["plan"]["steps"] == int(metadata["steps"]) == tiny_run.STEPS
    assert record["command"] == "python dev.py train tiny --start START"
    assert (record["world_seed"], record["weights_seed"]) == (tiny_run.WORLD_SEED, tiny_run.WEIGHTS_SEED)
    assert record["start"] and record["lesson_steps"] == 0
    assert record["plan"]["rate"] == tiny_run.RATE and record["plan"]["shift"] == tiny_run.SHIFT
    assert record["machine"] and record["seconds"] > 60
    assert record["losses"][-1][0] == record["plan"]["steps"] - record["plan"]["steps"] % 50
    assert record["chance_of_no_references"] == CHANCE_BARE
    last = record["checks"][-1]
    assert last["step"] == record["plan"]["steps"]
    assert min(last["faces of 2, own"], last["worn things of 2, own"]) > 0.95
    assert Image.open(io.BytesIO(TRAINED.with_suffix(".png").read_bytes())).format == "PNG"

import json

import pytest
import torch
from safetensors.torch import load_file

from lumosx_core.tiny.learned import load_codec
from lumosx_core.training import codec_run, codec_trainer
from lumosx_core.training.__main__ import main


@pytest.fixture
def quick(monkeypatch):
    """A training of few and small things."""
    for name, value in {"CLIPS": 1, "CHECKED": 2}.items():
        monkeypatch.setattr(codec_run, name, value)


@pytest.mark.slow
def test_a_few_steps_write_weights_record_and_plot(quick, tmp_path, capsys):
    out = tmp_path / "codec.safetensors"
    assert main(["codec", "--out", str(out), "--steps", "2"]) == 0
    assert capsys.readouterr().out == f"Trained in 0 minutes: {out}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["codec.json", "codec.png", "codec.safetensors"]
    kinds = {name: part.dtype for name, part in load_file(out).items()}
    assert kinds.pop("mean") is kinds.pop("std") is torch.float32 and set(kinds.values()) == {torch.bfloat16}
    assert load_codec(out).std.min() > 0
    record = json.loads((tmp_path / "codec.json").read_text(encoding="utf-8"))
    assert (record["plan"]["steps"], record["clips_of_a_step"]) == (2, 2)
    assert set(record["checks"][-1]) == {"step"} | {
        f"{name} at noise {noise}" for name in ("PSNR", "sharpness", "colour error") for noise in codec_run.NOISES
    }


@pytest.mark.slow
def test_a_resumed_training_may_end_at_another_step(quick, tmp_path, capsys):
    """The end may be moved, since what the cooldown needs is known late; everything else must stay."""
    out, first = tmp_path / "codec.safetensors", tmp_path / "codec.checkpoint"

    def stop(trainer, samples, after_step):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(codec_trainer.CodecTrainer, "train", stop)
        assert main(["codec", "--out", str(out), "--steps", "9"]) == 130
    assert first.exists() and not out.exists()
    assert main(["codec", "--out", str(out), "--steps", "1", "--resume", str(first)]) == 0
    assert json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))["plan"]["steps"] == 1


def test_the_codec_that_ships_is_as_its_record_says():
    from lumosx_core.tiny.trained import CODEC

    record = json.loads(CODEC.with_suffix(".json").read_text(encoding="utf-8"))
    codec = load_codec()
    assert record["parameters"] == sum(part.numel() for part in codec.state_dict().values())
    assert record["plan"]["steps"] == codec_run.STEPS and record["plan"]["rate"] == codec_run.RATE
    assert CODEC.stat().st_size <= 3_000_000

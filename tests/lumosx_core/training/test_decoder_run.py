import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lumosx_core.tiny.decoder import Decoder, load_decoder
from lumosx_core.tiny.world.cast import Split
from lumosx_core.training import decoder_run, decoder_trainer
from lumosx_core.training.__main__ import main
from lumosx_core.training.decoder_trainer import FRAMES, MADE_CASTS, MADE_SEED, drawn_clips
from lumosx_core.training.examples import encode_clips
from lumosx_core.training.made_latents import LatentMaker
from lumosx_core.training.tiny_run import small_network


@pytest.fixture
def quick(monkeypatch):
    """A training of few and small things."""
    for name, value in {"PICTURES": 1, "SCRIPTS": 1, "CHANCES_MADE": {1: 0.5}, "CHECKED": 2}.items():
        monkeypatch.setattr(decoder_run, name, value)
    monkeypatch.setattr(decoder_run, "Decoder", lambda: Decoder((8, 8, 8, 8), (1, 0, 0, 0)))
    nothing = torch.zeros(MADE_CASTS, 16, FRAMES, 12, 16)
    monkeypatch.setattr(decoder_run.LatentMaker, "make", lambda self, index: nothing)


def test_a_few_steps_write_weights_record_and_plot(quick, tmp_path, capsys):
    out = tmp_path / "decoder.safetensors"
    assert main(["decoder", "--out", str(out), "--steps", "3"]) == 0
    assert capsys.readouterr().out == f"Trained in 0 minutes: {out}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decoder.json", "decoder.png", "decoder.safetensors"]
    assert {part.dtype for part in load_file(out).values()} == {torch.bfloat16}
    record = json.loads((tmp_path / "decoder.json").read_text(encoding="utf-8"))
    assert (record["plan"]["steps"], record["scripts_made"], record["chances_made_from_step"]) == (3, 1, {"1": 0.5})
    assert set(record["checks"][-1]) == {"step"} | {
        f"{name} at noise {noise}" for name in ("PSNR", "sharpness", "colour error") for noise in (0.0, 0.2)
    }


def test_clips_that_are_made_already_are_not_made_again(quick, tmp_path, monkeypatch):
    np.save(tmp_path / "decoder.made.npy", np.zeros((1, MADE_CASTS, 16, FRAMES, 12, 16), np.float16))
    monkeypatch.setattr(decoder_run, "_make_clips", lambda path: pytest.fail("made again"))
    assert main(["decoder", "--out", str(tmp_path / "decoder.safetensors"), "--steps", "2"]) == 0


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--out", "small.pt"], "--out: small.pt does not end in .safetensors; give it that ending."),
    (["--out", "nowhere/small.safetensors"], "--out: there is no folder"),
    (["--steps", "0"], f"--steps: 0 is below 1; use {decoder_run.STEPS}."),
    (["--resume", "nothing"], "resume: nothing cannot be read"),
])
def test_bad_arguments_are_refused_in_one_sentence(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["decoder", *arguments]) == 1
    printed = capsys.readouterr().err
    assert sentence in printed and printed.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_training_may_end_at_another_step(quick, tmp_path, capsys):
    """The end may be moved, since what the cooldown needs is known late; everything else must stay."""
    out, first = tmp_path / "decoder.safetensors", tmp_path / "decoder.checkpoint"

    def stop(trainer, samples, after_step):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(decoder_trainer.DecoderTrainer, "train", stop)
        assert main(["decoder", "--out", str(out), "--steps", "9"]) == 130
    assert first.exists() and not out.exists()
    assert main(["decoder", "--out", str(out), "--steps", "2", "--resume", str(first)]) == 0
    assert json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))["plan"]["steps"] == 2


def test_what_the_model_makes_is_near_what_was_noised(monkeypatch):
    """Untrained, the network's velocity is zero, so the noise stays; a perfect one gives the clip back."""
    script, casts, _ = drawn_clips(MADE_SEED, 0, Split.TRAIN, MADE_CASTS)
    truth = encode_clips([script] * MADE_CASTS, casts, FRAMES)
    seen = []

    def perfect(network, x, times, context, references, binding, attention):
        seen.append((len(references), float(times[0])))
        sigma = float(times[0]) / 1000
        return (x.float() - truth) / max(sigma, 1e-3)

    monkeypatch.setattr("lumosx_core.training.made_latents.relational_forward", perfect)

    def tokenise(text, source):
        from lumosx_core.host.training import TextSide
        from lumosx_core.host.weights.tiny import load_tiny_clip

        return TextSide(load_tiny_clip()).tokenise(text, source)

    maker = LatentMaker(small_network(), tokenise, lambda text: torch.zeros(1, 8, 4096), torch.float32)
    made = maker.make(0)
    assert made.shape == truth.shape == (MADE_CASTS, 16, FRAMES, 12, 16)
    assert (made - truth).abs().max() < 0.02
    assert len({count for count, _ in seen}) == 1 and max(time for _, time in seen) < 900


def test_the_decoder_that_ships_is_as_its_record_says():
    from lumosx_core.tiny.trained import DECODER

    record = json.loads(DECODER.with_suffix(".json").read_text(encoding="utf-8"))
    decoder = load_decoder()
    assert record["parameters"] == sum(part.numel() for part in decoder.parameters())
    assert record["chances_made_from_step"] == {str(step): one for step, one in decoder_run.CHANCES_MADE.items()}
    assert record["scripts_made"] == decoder_run.SCRIPTS
    assert record["plan"]["steps"] == decoder_run.STEPS and record["plan"]["rate"] == decoder_run.RATE
    assert DECODER.stat().st_size <= 3_000_000

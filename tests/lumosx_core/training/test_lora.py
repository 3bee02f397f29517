"""LoRA pairs on the small model, and the same file through ComfyUI's own loader."""

import logging
from types import SimpleNamespace

import comfy.sd
import pytest
import torch
from safetensors.torch import load_file, save_file

from lumosx_core.errors import LumosXError
from lumosx_core.models.lumosx import relational_forward
from lumosx_core.models.lumosx.sequence import Binding
from lumosx_core.models.wan.forward import run_plainly
from lumosx_core.training import lora_run
from lumosx_core.training.base import check_base_file, read_base
from lumosx_core.training.flow import training_attention
from lumosx_core.training.lora import ATTENTION, LAYERS, add_lora, lora_file
from lumosx_core.training.lora_run import _run_block_twice
from lumosx_core.training.trainer import RelationalTrainer, Sample, TrainingPlan
from tools.golden import relative_error
from tools.weight_files import small_transformer, write_gguf

BINDING = Binding((((1, 3),),), (((3, 5),), ((6, 8),)), (2, 1))
CPU = torch.device("cpu")


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def velocity(network, latent_seed=0):
    with torch.no_grad():
        return relational_forward(
            network, draw(1, 16, 2, 6, 8, seed=latent_seed), torch.tensor([400.0]), draw(1, 12, 4096, seed=1),
            [draw(1, 16, 1, 6, 8, seed=seed) for seed in range(2, 6)], BINDING, training_attention,
        )


def with_lora(base, rank=4, alpha=4.0, layers="all", seed=0):
    network = read_base(base, torch.float32)
    add_lora(network, rank, alpha, layers, seed)
    return network


def moved(network):
    """Give every B some weights, as training does."""
    for number, (name, part) in enumerate(network.named_parameters()):
        if ".lora_B." in name:
            part.data.copy_(0.05 * draw(*part.shape, seed=number))
    return network


def pairs_of(network):
    return {name: part.detach() for name, part in network.named_parameters() if part.requires_grad}


def sample():
    references = [draw(1, 16, 1, 6, 8, seed=seed) for seed in range(2, 6)]
    latent = torch.cat(references[:2], dim=2)
    return Sample(latent, references, draw(1, 12, 4096, seed=1), draw(1, 4, 4096, seed=9), BINDING)


@pytest.mark.parametrize("layers", LAYERS)
def test_untrained_pairs_change_nothing_and_the_base_is_frozen(base, layers):
    network = with_lora(base, layers=layers)
    assert torch.equal(velocity(network), velocity(read_base(base, torch.float32)))
    trained = pairs_of(network)
    assert len(trained) == 2 * 4 * len(LAYERS[layers]) and all(".lora_" in name for name in trained)
    assert {name.partition(".lora_")[0].split(".", 2)[2] for name in trained} == set(LAYERS[layers])


def test_first_weights_follow_the_seed(base):
    first, again, other = (pairs_of(with_lora(base, seed=seed)) for seed in (1, 1, 2))
    name = "blocks.3.ffn.2.lora_A.weight"
    assert torch.equal(first[name], again[name]) and not torch.equal(first[name], other[name])
    assert first[name].shape == (4, 512) and first[name].abs().max() <= 512 ** -0.5


@pytest.mark.parametrize("alpha", [4.0, 2.0])
def test_comfyuis_loader_uses_every_key_and_computes_the_same(base, tmp_path, caplog, alpha):
    network = moved(with_lora(base, alpha=alpha))
    save_file(lora_file(pairs_of(network), 4, alpha), tmp_path / "lora.safetensors")
    held = load_file(tmp_path / "lora.safetensors")
    assert ("diffusion_model.blocks.0.ffn.0.alpha" in held) == (alpha != 4)
    model = comfy.sd.load_diffusion_model(str(base), model_options={"dtype": torch.float32})
    with caplog.at_level(logging.WARNING):
        patched, _ = comfy.sd.load_lora_for_models(model, None, held, 1.0, 0.0)
    assert not caplog.records and len(patched.patches) == 4 * len(LAYERS["all"])
    patched.patch_model(CPU)
    theirs = velocity(patched.model.diffusion_model)
    patched.unpatch_model(CPU)
    assert relative_error(theirs, velocity(network)) < 1e-4
    assert relative_error(velocity(read_base(base, torch.float32)), velocity(network)) > 0.01


@pytest.mark.slow
def test_training_lowers_the_loss_and_moves_only_the_pairs(base):
    network = with_lora(base, layers="attention")
    before = {name: part.clone() for name, part in network.state_dict().items()}
    losses = []
    trainer = RelationalTrainer(network, TrainingPlan(40, rate=5e-3, warmup=2, unconditional=0.0), torch.float32, CPU)
    trainer.train(iter(sample, None), lambda step, loss: losses.append(loss))
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    moved_names = {name for name, part in network.state_dict().items() if not torch.equal(part, before[name])}
    assert moved_names == set(trainer.names)


def test_computing_blocks_twice_gives_the_same_gradients_and_keeps_less(base):
    def trained(run_block):
        kept = 0

        def count(tensor):
            nonlocal kept
            kept += tensor.nbytes
            return tensor

        trainer = RelationalTrainer(with_lora(base), TrainingPlan(3, warmup=0), torch.float32, CPU, run_block=run_block)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            trainer.train(iter(sample, None), lambda step, loss: None)
        return trainer.weights, kept

    (plain, much), (twice, little) = trained(run_plainly), trained(_run_block_twice)
    assert all(torch.allclose(one, other, atol=1e-7) for one, other in zip(plain, twice))
    assert little < 0.5 * much


def test_bf16_keeps_the_patch_embedding_in_float32(base):
    network = read_base(base, torch.bfloat16)
    assert network.patch_embedding.weight.dtype is torch.float32
    add_lora(network, 2, 2.0, "all", 0)
    kinds = {part.dtype for name, part in network.named_parameters() if "patch_embedding" not in name}
    assert kinds == {torch.bfloat16}
    trainer = RelationalTrainer(network, TrainingPlan(1), torch.bfloat16, CPU)
    trainer.train(iter(sample, None), lambda step, loss: None)
    assert all(part.dtype is torch.float32 and part.isfinite().all() for part in trainer.weights)


def test_any_weight_file_is_a_base(tmp_path):
    meant = write_gguf(tmp_path / "base.gguf", "Q4_0")
    torch.save({"ema": small_transformer()}, tmp_path / "base.pt")
    for path, weights in ((tmp_path / "base.gguf", meant), (tmp_path / "base.pt", small_transformer())):
        check_base_file(path)
        held = read_base(path, torch.float32).state_dict()
        assert set(held) == set(weights)
        assert all(torch.equal(held[name], weight) for name, weight in weights.items())


def test_scaled_fp8_is_unpacked(tmp_path):
    weights = small_transformer()
    name = f"blocks.0.{ATTENTION[0]}.weight"
    scale = weights[name].abs().max() / 448
    stored = {**weights, name: (weights[name] / scale).to(torch.float8_e4m3fn), "scaled_fp8": torch.zeros(1),
              f"{name.removesuffix('weight')}scale_weight": scale.reshape(1)}
    for other, weight in weights.items():
        if other.endswith(".weight") and weight.ndim == 2 and other != name:
            stored[f"{other.removesuffix('weight')}scale_weight"] = torch.ones(1)
            stored[other] = weight.to(torch.float8_e4m3fn)
    save_file(stored, tmp_path / "fp8.safetensors")
    held = read_base(tmp_path / "fp8.safetensors", torch.float32).state_dict()
    assert relative_error(held[name], weights[name]) < 0.05


def test_a_file_of_something_else_is_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(LumosXError, match="other.safetensors: it seems to be"):
        check_base_file(tmp_path / "other.safetensors")


@pytest.mark.parametrize(("tiny", "text", "vae", "fits"), [
    (True, None, None, True), (False, "t", "v", True), (False, "t", None, False), (False, None, "v", False),
    (False, None, None, False), (True, "t", None, False), (True, None, "v", False), (True, "t", "v", False),
])
def test_both_encoders_are_given_or_the_packs_own_are_asked_for(monkeypatch, tiny, text, vae, fits):
    checked = []
    monkeypatch.setattr(lora_run, "check_files", checked.append)
    options = SimpleNamespace(tiny=tiny, text_encoder=text, vae=vae, resume="r")
    if fits:
        lora_run._check_encoders(options)
        assert checked == [{"--text-encoder": text, "--vae": vae, "--resume": "r"}]
    else:
        with pytest.raises(LumosXError, match="^--text-encoder, --vae: give both files, or --tiny"):
            lora_run._check_encoders(options)


@pytest.mark.parametrize(("tiny", "of"), [(True, ("tiny clip", "tiny vae")), (False, ("text file", "vae file"))])
@pytest.mark.parametrize(("length", "words"), [(1, "1 frame of a.mp4"), (2, "5 frames of a.mp4")])
def test_cases_are_encoded_by_the_encoders_that_were_asked_for(monkeypatch, tiny, of, length, words):
    from lumosx_core.host import training
    from lumosx_core.host.weights import tiny as small

    used, said = [], []

    def side(model):
        used.append(model)
        return SimpleNamespace(tokenise=model, encode=lambda text: (model, text))

    for name, value in {"TextSide": side, "PictureSide": side, "load_text_side": side, "load_picture_side": side,
                        "unload_models": lambda: used.append("unloaded")}.items():
        monkeypatch.setattr(training, name, value)
    monkeypatch.setattr(small, "load_tiny_clip", lambda: "tiny clip")
    monkeypatch.setattr(small, "load_tiny_vae", lambda: "tiny vae")
    monkeypatch.setattr(lora_run, "encode_text", lambda case, tokenise, encode: tokenise)
    encoded = SimpleNamespace(latent=torch.zeros(1, 16, length, 2, 2))
    monkeypatch.setattr(lora_run, "encode_case", lambda case, text, negative, encode, size: encoded)
    monkeypatch.setattr(lora_run, "note", said.append)
    case = SimpleNamespace(folder=SimpleNamespace(name="one"), notes=("odd",), target=SimpleNamespace(name="a.mp4"))
    options = SimpleNamespace(tiny=tiny, text_encoder="text file", vae="vae file", size=(64, 48), frames=5)
    assert lora_run._encode(options, [case]) == [encoded]
    assert used == [of[0], "unloaded", of[1], "unloaded"] and said == ["one: odd", f"one: {words}"]

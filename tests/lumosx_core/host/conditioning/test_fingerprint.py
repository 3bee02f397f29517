"""What identifies a model: its content, and nothing of how it was loaded."""

import comfy.model_management
import comfy.ops
import comfy.quant_ops
import comfy.utils
import psutil
import pytest
import torch
from comfy.model_patcher import ModelPatcher

from lumosx_core.host.conditioning import fingerprint
from lumosx_core.host.conditioning.fingerprint import model_fingerprint
from lumosx_core.host.weights.tiny import FIXED, load_tiny_models


@pytest.fixture
def patcher():
    """Of a small model of three layers; any of its weights may be changed."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(100), torch.nn.Linear(200, 300)).bfloat16()
    model.register_buffer("scale", torch.tensor(2.0))
    return around(model)


def around(model):
    cpu = torch.device("cpu")
    return ModelPatcher(model, load_device=cpu, offload_device=cpu)


def test_it_is_of_the_content_and_not_of_the_object(tiny):
    with torch.inference_mode(False):
        again = load_tiny_models(FIXED)
    for first, second in zip(tiny[1:], again[1:]):
        known, *others = map(model_fingerprint, (first.patcher, first.patcher.clone(), second.patcher))
        assert len(known) == 64 and others == [known, known]
    assert model_fingerprint(tiny[1].patcher) != model_fingerprint(tiny[2].patcher)


def test_it_is_the_same_before_and_after_use(tiny):
    clip = tiny[1].clone()
    comfy.model_management.unload_all_models()
    before = model_fingerprint(clip.patcher)
    clip.encode_from_tokens_scheduled(clip.tokenize("a red hat"))
    loaded = model_fingerprint(clip.patcher)
    comfy.model_management.unload_all_models()
    assert before == loaded == model_fingerprint(clip.patcher)


def test_each_tensor_counts(patcher):
    seen = {model_fingerprint(patcher)}
    tensors = [*patcher.model.parameters(), *patcher.model.buffers()]
    with torch.no_grad():
        for tensor in tensors:
            tensor += 1
            seen.add(model_fingerprint(patcher))
            # The first number of each is always looked at.
            tensor.view(-1)[0] += 1
            seen.add(model_fingerprint(patcher))
    assert len(tensors) == 7 and len(seen) == 1 + 2 * 7


def test_type_shape_name_and_structure_count(patcher):
    model = patcher.model
    seen = {model_fingerprint(patcher)}
    model[0].weight = torch.nn.Parameter(model[0].weight.view(2, 8))
    seen.add(model_fingerprint(patcher))
    model[0].weight = torch.nn.Parameter(model[0].weight.view(torch.float16))
    seen.add(model_fingerprint(patcher))
    model.register_buffer("other", model._buffers.pop("scale"))
    seen.add(model_fingerprint(patcher))
    model.add_module("last", torch.nn.GELU())
    seen.add(model_fingerprint(patcher))
    model.last = torch.nn.SiLU()
    seen.add(model_fingerprint(patcher))
    patcher.add_object_patch("manual_cast_dtype", torch.float32)
    seen.add(model_fingerprint(patcher))
    assert len(seen) == 7 and None not in seen


def test_a_lora_in_the_shared_weights_is_seen_through(patcher):
    known = model_fingerprint(patcher)
    changed = patcher.clone()
    changed.add_patches({"2.weight": (torch.ones(300, 200),)})
    assert model_fingerprint(changed) is None
    comfy.model_management.load_models_gpu([changed])
    assert not torch.equal(patcher.backup["2.weight"].weight, patcher.model[2].weight)
    assert model_fingerprint(patcher) == known


def replace_forward(model):
    model[0].forward = lambda x: x


CHANGES = {
    "forward hook": lambda patcher: patcher.model[0].register_forward_hook(lambda *_: None),
    "forward pre-hook": lambda patcher: patcher.model[0].register_forward_pre_hook(lambda *_: None),
    "replaced forward": lambda patcher: replace_forward(patcher.model),
    "no data": lambda patcher: patcher.model[0].to("meta"),
    "object patch": lambda patcher: patcher.add_object_patch("0", torch.nn.Identity()),
    "weight wrapper": lambda patcher: patcher.add_weight_wrapper("0.weight", lambda weight: weight),
    "callback": lambda patcher: patcher.add_callback("any", lambda *_: None),
    "wrapper": lambda patcher: patcher.add_wrapper("any", lambda *_: None),
    "further model": lambda patcher: patcher.set_additional_models("any", [around(torch.nn.Identity())]),
    "injection": lambda patcher: patcher.set_injections("any", [None]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_weights_alone_do_not_decide_has_none(patcher, change):
    clone = patcher.clone()
    assert model_fingerprint(clone)
    CHANGES[change](clone)
    assert model_fingerprint(clone) is None


def quantised(values, scale):
    """A weight in the host's own 8-bit form, which later versions take from comfy-kitchen."""
    layout = "TensorCoreFP8Layout"
    try:
        return comfy.quant_ops.QuantizedTensor.from_float(values, layout, scale=scale, dtype=torch.float8_e4m3fn)
    except TypeError:
        return comfy.quant_ops.QuantizedTensor.from_float(values, "TensorCoreFP8E4M3Layout", scale=scale)


def test_weights_that_the_host_quantised_are_read_with_their_scales():
    def fingerprint(values, scale):
        model = torch.nn.Linear(64, 64, bias=False)
        model.weight = torch.nn.Parameter(quantised(values, torch.tensor(scale)), requires_grad=False)
        assert type(model.weight) is comfy.quant_ops.QuantizedTensor
        return model_fingerprint(around(model))

    values = torch.randn(64, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    known = fingerprint(values, 1.0)
    assert known == fingerprint(values, 1.0)
    # Twice the values at twice the scale are the same bytes.
    assert len({known, fingerprint(values * 2, 2.0), fingerprint(values.flip(0), 1.0), None}) == 4


class GgufTensor(torch.Tensor):
    """As other packs hold GGUF weights: bytes that report the shape they would have, and are never detached."""

    shape = property(lambda self: torch.Size((8, 32)))

    def detach(self):
        return self


def test_gguf_tensors_of_other_packs_are_read_as_bytes():
    class Layer(torch.nn.Linear):
        def _save_to_state_dict(self, destination, prefix, keep_vars):
            """Other packs hand the host empty stand-ins here."""
            destination[prefix + "weight"] = torch.empty(8, 32, device="meta")

    def fingerprint(data):
        model = Layer(32, 8, bias=False)
        model.weight = torch.nn.Parameter(GgufTensor(data), requires_grad=False)
        assert type(model.weight) is GgufTensor and model.weight.shape == (8, 32)
        return model_fingerprint(around(model))

    data = torch.arange(8 * 34, dtype=torch.uint8).view(8, 34)
    assert fingerprint(data) == fingerprint(data.clone())
    assert len({fingerprint(data), fingerprint(data + 1), None}) == 3


def test_a_mapped_file_of_eight_gigabytes_stays_on_disk(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(8 << 30)
    model = torch.nn.Linear(1, 1, bias=False)
    mapped = torch.from_file(str(path), size=4 << 30, dtype=torch.bfloat16)
    model.weight = torch.nn.Parameter(mapped.view(1 << 16, 1 << 16), requires_grad=False)
    patcher = around(model)
    process = psutil.Process()
    before = process.memory_info().rss
    assert model_fingerprint(patcher)
    assert process.memory_info().rss - before < 32 << 20


@pytest.mark.parametrize("count", [1, 5, 6, 7, 100])
def test_small_tensors_are_read_whole_and_large_ones_from_end_to_end(monkeypatch, count):
    monkeypatch.setattr(fingerprint, "_PIECES", 3)
    monkeypatch.setattr(fingerprint, "_PIECE_BYTES", 2)
    data = torch.arange(count, dtype=torch.uint8)
    seen = fingerprint._sample(data)
    if count <= 6:
        assert torch.equal(seen, data)
    else:
        step = (count - 2) // 2
        assert seen.tolist() == [[0, 1], [step, step + 1], [2 * step, 2 * step + 1]]

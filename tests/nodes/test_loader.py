"""LumosX Model Loader on a real server: every kind of file, and the stock nodes that users put behind it."""

import os
import re
import shutil
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as safetensors_bytes
from safetensors.torch import save_file

from tools.client import ExecutionFailed, PromptRejected
from tools.weight_files import MAKEABLE, SCALES, Runs, make_lora, write_gguf


@pytest.fixture(scope="module")
def plain(folder, weights):
    """The small transformer in float32, by name."""
    save_file(weights, folder / "loader_f32.safetensors")
    return "loader_f32.safetensors"


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": {"model": ["3", 0], **inputs}}


def distance(latent, reference):
    return ((latent - reference).norm() / reference.norm()).item()


def test_it_is_the_stock_loader_and_our_model_node_in_one(sample, client, graph, plain):
    ours = sample(plain)
    stock = {
        "60": {"class_type": "UNETLoader", "inputs": {"unet_name": plain, "weight_dtype": "default"}},
        "61": {"class_type": "LumosX_Model", "inputs": {"model": ["60", 0]}},
    }
    assert torch.equal(sample(plain, stock, "61"), ours)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.bfloat16, 2e-2), (torch.float16, 2e-3)])
def test_half_precision_files(sample, folder, weights, plain, dtype, bound):
    name = f"loader_{str(dtype).removeprefix('torch.')}.safetensors"
    save_file({key: tensor.to(dtype) for key, tensor in weights.items()}, folder / name)
    assert 0 < distance(sample(name), sample(plain)) < bound


def test_the_dtypes_of_the_stock_loader(sample, plain):
    exact = sample(plain)
    for choice in ("fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"):
        assert 0 < distance(sample(plain, weight_dtype=choice), exact) < 0.5


@pytest.mark.parametrize("wrap", [dict, lambda w: {"model": w}, lambda w: {"ema": w, "optimizer": {"step": 3}}],
                         ids=["plain", "model", "ema"])
def test_a_pt_file(sample, folder, weights, plain, wrap):
    torch.save(wrap(weights), folder / "loader.pt")
    assert torch.equal(sample("loader.pt"), sample(plain))


def test_prefixes_come_off(sample, folder, weights, plain):
    save_file({f"model.diffusion_model.{name}": w for name, w in weights.items()}, folder / "loader_prefix.safetensors")
    assert torch.equal(sample("loader_prefix.safetensors"), sample(plain))


def test_names_of_compiled_and_distributed_models(sample, folder, weights, plain):
    """As torch.save writes a model of which each block was compiled, inside DistributedDataParallel."""
    names = {name: "module." + re.sub(r"^(blocks\.\d+)\.", r"\1._orig_mod.", name) for name in weights}
    torch.save({names[name]: tensor for name, tensor in weights.items()}, folder / "loader_wrapped.pt")
    assert torch.equal(sample("loader_wrapped.pt"), sample(plain))


@pytest.mark.parametrize("ending", ["safetensors", "gguf"])
def test_any_part_of_a_model_without_an_index_loads_it_whole(sample, client, folder, weights, ending):
    names = sorted(weights)
    shares = [names[number::3] for number in range(3)]
    meant = {}
    for number, share in enumerate(shares, 1):
        path, part = folder / f"loader_split-0000{number}-of-00003.{ending}", {name: weights[name] for name in share}
        meant.update(write_gguf(path, "Q8_0", part) if ending == "gguf" else part)
        if ending == "safetensors":
            save_file(part, path)
    save_file(meant, folder / f"loader_split_whole_{ending}.safetensors")
    exact = sample(f"loader_split_whole_{ending}.safetensors")
    for number in (1, 3):
        assert torch.equal(sample(f"loader_split-0000{number}-of-00003.{ending}"), exact)
    listed = re.findall(rf"loader_split-\d+-of-\d+.{ending}", str(client.object_info("LumosX_ModelLoader")["input"]))
    assert listed == [f"loader_split-00001-of-00003.{ending}"]
    (folder / f"loader_split-00002-of-00003.{ending}").unlink()
    with pytest.raises(PromptRejected, match="loader_split-00002-of-00003.*: this part of the model is missing"):
        sample(f"loader_split-00001-of-00003.{ending}")


def heaviest(path):
    """As much to look through as is allowed, without a model in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02(" + b"K\x01" * ((1 << 19) - 10) + b"t0}.")
    return path.name


def test_the_server_answers_while_a_file_is_looked_at(server, client, folder, sample):
    """ComfyUI checks a prompt on the loop that answers everybody."""
    name, waits, asked = heaviest(folder / "heavy.pt"), [], threading.Event()

    def watch():
        while not asked.is_set():
            start = time.monotonic()
            client.object_info("LumosX_Model")
            waits.append(time.monotonic() - start)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(3):
            # Another time each, so that nothing is remembered.
            os.utime(folder / name)
            refused(sample, name)
    finally:
        asked.set()
        watcher.join()
    # Two may be held up by what else the machine does.
    assert len(waits) > 10 and sorted(waits)[-3] < 0.5


@pytest.mark.parametrize("kind", [*MAKEABLE, *SCALES])
def test_gguf_files_compute_as_the_numbers_they_stand_for(sample, server, folder, graph, kind):
    place = server.base / "models" / ("unet" if kind.startswith("IQ") else "diffusion_models")
    place.mkdir(exist_ok=True)
    save_file(write_gguf(place / f"loader_{kind}.gguf", kind), folder / f"loader_{kind}.safetensors")
    graph["5"]["inputs"].update(steps=1, cfg=1.0)
    assert torch.equal(sample(f"loader_{kind}.gguf"), sample(f"loader_{kind}.safetensors"))


def test_previews_and_progress_work_as_on_any_model(client, graph, gguf):
    graph["3"] = {"class_type": "LumosX_ModelLoader", "inputs": {"model_name": gguf}}
    graph["5"]["inputs"].update(seed=4, steps=3)
    seen = []

    def note(kind, data):
        if kind == "progress" and data["node"] == "5":
            seen.append(data["value"])

    run = client.run(graph, on_event=note, timeout=300)
    assert run.previews > 0 and seen == [1, 2, 3] and run.outputs["8"]["images"]


@pytest.fixture(scope="module")
def gguf(folder):
    write_gguf(folder / "loader_again.gguf", "Q8_0")
    return "loader_again.gguf"


@pytest.fixture(scope="module", params=["plain", "gguf"])
def file(request, plain, gguf):
    return {"plain": plain, "gguf": gguf}[request.param]


@pytest.fixture(scope="module")
def lora(server, weights):
    path = server.base / "models" / "loras"
    path.mkdir(parents=True, exist_ok=True)
    save_file(make_lora(weights), path / "loader_lora.safetensors")
    return "loader_lora.safetensors"


def test_stock_lora_loader(sample, file, lora, plain):
    untouched = sample(file)
    behind = {"60": node("LoraLoaderModelOnly", lora_name=lora, strength_model=0.8)}
    changed = sample(file, behind, "60")
    assert distance(changed, untouched) > 0.01
    on_plain = sample(plain, behind, "60")
    assert distance(changed, on_plain) < (1e-6 if file == plain else 0.05)
    # Without it again, nothing of it is left.
    assert torch.equal(sample(file), untouched)


def test_stock_shift_node(sample, client, graph, file):
    """Our sampler has a shift of its own; a stock one takes the model's."""
    def stock(shift):
        graph["5"] = {"class_type": "KSampler", "inputs": {
            "model": ["60", 0], "positive": ["4", 0], "negative": ["4", 1], "latent_image": ["4", 2], "seed": 1,
            "steps": 3, "cfg": 4.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0,
        }}
        return sample(file, {"60": node("ModelSamplingSD3", shift=shift)}, "60")

    assert distance(stock(3.0), stock(8.0)) > 0.01


def test_stock_easy_cache(sample, graph, server, file):
    graph["5"]["inputs"]["steps"] = 12

    def behind(threshold):
        return {"60": node(
            "EasyCache", reuse_threshold=threshold, start_percent=0.1, end_percent=0.95, verbose=True
        )}

    exact = sample(file)
    assert torch.equal(sample(file, behind(0.0), "60"), exact)
    before = server.log_text().count("EasyCache [verbose] - skipping step")
    cached = sample(file, behind(1.0), "60")
    assert server.log_text().count("EasyCache [verbose] - skipping step") > before
    assert cached.isfinite().all() and distance(cached, exact) > 0


@pytest.fixture(params=["plain", "gguf"])
def two_blocks(request, folder, weights):
    """A file of the first two blocks, since inductor takes seconds for each; a second one has all that differs."""
    few = {name: tensor for name, tensor in weights.items() if re.match(r"(?!blocks)|blocks\.[01]\.", name)}
    if request.param == "gguf":
        write_gguf(folder / "loader_two.gguf", "Q8_0", few)
        return "loader_two.gguf"
    save_file(few, folder / "loader_two.safetensors")
    return "loader_two.safetensors"


@pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="inductor needs a C++ compiler on a CPU"
)
@pytest.mark.compile
def test_stock_compile_node(sample, two_blocks):
    exact = sample(two_blocks)
    compiled = sample(two_blocks, {"60": node("TorchCompileModel", backend="inductor")}, "60")
    assert distance(compiled, exact) < 1e-4


def test_stock_model_save(sample, client, graph, server, folder, plain, lora, gguf):
    behind = {
        "60": node("LoraLoaderModelOnly", lora_name=lora, strength_model=0.8),
        "61": {"class_type": "ModelSave", "inputs": {"model": ["60", 0], "filename_prefix": "saved/model"}},
    }
    merged = sample(plain, behind, "60")
    (written,) = (server.base / "output" / "saved").glob("*.safetensors")
    written.rename(folder / "loader_saved.safetensors")
    assert distance(sample("loader_saved.safetensors", {"60": node("LumosX_Model")}, "60"), merged) < 1e-5
    with pytest.raises(ExecutionFailed, match="model: its weights are packed in GGUF blocks, which ComfyUI cannot"):
        sample(gguf, {"61": {"class_type": "ModelSave", "inputs": {"model": ["3", 0], "filename_prefix": "saved/x"}}})
    assert not list((server.base / "output" / "saved").glob("x*"))


@pytest.mark.parametrize("second", ["gguf", "plain"])
def test_stock_model_merging_works_on_gguf(sample, folder, weights, plain, gguf, second):
    """As docs/weights.md says; half of each model, the second one with other numbers."""
    other = {name: tensor.flip(0).contiguous() for name, tensor in weights.items()}
    save_file(other, folder / "merge_plain.safetensors")
    write_gguf(folder / "merge_gguf.gguf", "Q8_0", other)

    def merged(first, second):
        load = {"class_type": "LumosX_ModelLoader", "inputs": {"model_name": second}}
        merge = {"class_type": "ModelMergeSimple", "inputs": {"model1": ["3", 0], "model2": ["61", 0], "ratio": 0.5}}
        return sample(first, {"61": load, "60": merge}, "60")

    exact = merged(plain, "merge_plain.safetensors")
    assert distance(exact, sample(plain)) > 0.01
    assert distance(merged(gguf, f"merge_{second}.{'gguf' if second == 'gguf' else 'safetensors'}"), exact) < 0.05


def test_another_model_is_refused_before_anything_runs(sample, folder, lora, server):
    save_file({"decoder.conv1.weight": torch.zeros(1)}, folder / "loader_vae.safetensors")
    with pytest.raises(PromptRejected, match="loader_vae.safetensors: it seems to be a VAE; LumosX needs"):
        sample("loader_vae.safetensors")


def written(write):
    """The bytes that write(path) puts into a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        write(path)
        return path.read_bytes()


def flip_a_byte(data):
    """Where it matters: much of a zip archive's first header is said again at its end."""
    place = max(9, data.find(b"_rebuild_tensor_v2"))
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1:]


@pytest.fixture(scope="module")
def good(weights):
    """Bytes of a whole file of each format."""
    return {
        "safetensors": safetensors_bytes(weights),
        "gguf": written(lambda path: write_gguf(path, "Q8_0", weights)),
        "pt": written(lambda path: torch.save(weights, path)),
    }


@pytest.mark.parametrize("ending", ["safetensors", "gguf", "pt"])
@pytest.mark.parametrize(
    ("damage", "spoil"),
    [
        ("empty", lambda data: b""),
        ("cut in the header", lambda data: data[:50]),
        ("cut in the data", lambda data: data[:-1000]),
        ("flipped in the header", flip_a_byte),
        ("an absurd header", lambda data: data[:4] + b"\xff" * 24 + data[28:]),
        ("another content", lambda data: b"<!DOCTYPE html><html>"),
        ("random bytes", lambda data: bytes(range(256)) * 8),
    ],
)
def test_broken_files_are_refused_before_anything_runs(sample, folder, good, ending, damage, spoil):
    path = folder / f"broken {damage}.{ending}"
    path.write_bytes(spoil(good[ending]))
    refused(sample, path.name)


@pytest.mark.parametrize(
    ("what", "change", "sentence"),
    [
        ("missing", lambda w: w.pop("blocks.2.self_attn.q.weight"), "blocks.2.self_attn.q.weight is missing"),
        ("extra", lambda w: w.update({"blocks.0.more.weight": torch.ones(2)}), "blocks.0.more.weight"),
        ("shape", lambda w: w.update({"head.head.bias": torch.ones(63)}), "head.head.bias has the shape [63]"),
        ("dtype", lambda w: w.update({"head.head.bias": torch.ones(64, dtype=torch.int32)}), "of type I32"),
    ],
)
def test_incomplete_and_odd_files_are_refused_before_anything_runs(sample, folder, weights, what, change, sentence):
    tensors = dict(weights)
    change(tensors)
    save_file(tensors, folder / f"odd_{what}.safetensors")
    torch.save(tensors, folder / f"odd_{what}.pt")
    for ending in ("safetensors", "pt"):
        assert sentence in refused(sample, f"odd_{what}.{ending}")


def test_a_pt_that_would_run_code_is_refused_and_runs_none(sample, folder, weights, tmp_path):
    torch.save({**weights, "extra": Runs(os.mkdir, (str(tmp_path / "made"),))}, folder / "malicious.pt")
    assert f"malicious.pt: loading it would run '{os.name}.mkdir'" in refused(sample, "malicious.pt")
    assert not (tmp_path / "made").exists()


def refused(sample, name):
    """The one sentence with which a file is refused when the graph is queued."""
    with pytest.raises(PromptRejected) as caught:
        sample(name)
    (error,) = [error for node in caught.value.body["node_errors"].values() for error in node["errors"]]
    sentence = error["details"].partition(" - ")[2] or error["details"]
    assert name in sentence and sentence.rstrip().endswith(".") and "Traceback" not in sentence
    return sentence


def test_a_file_that_is_not_there_and_one_outside(sample, server):
    (server.base / "secret.safetensors").write_bytes(b"x")
    for name in ("gone.safetensors", "../../secret.safetensors", "/etc/passwd"):
        with pytest.raises(PromptRejected, match="is not in ComfyUI's models/diffusion_models"):
            sample(name)


def test_fp8_of_a_gguf_is_refused(sample, gguf):
    with pytest.raises(ExecutionFailed, match="weight_dtype: loader_again.gguf is a GGUF"):
        sample(gguf, weight_dtype="fp8_e5m2")


def test_a_file_that_changed_is_loaded_again(sample, folder, weights):
    save_file(weights, folder / "loader_changing.safetensors")
    before = sample("loader_changing.safetensors")
    changed = {**weights, "head.head.bias": weights["head.head.bias"] + 1}
    save_file(changed, folder / "loader_changing.safetensors")
    assert distance(sample("loader_changing.safetensors"), before) > 0.01

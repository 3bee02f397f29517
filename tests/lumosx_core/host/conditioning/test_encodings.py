"""Encodings found again: the same bits, no model touched, and never where more than the inputs decides."""

import copy
import gc
from pathlib import Path

import comfy.hooks
import comfy.model_management
import comfy.sd
import comfy.text_encoders.t5
import comfy.utils
import folder_paths
import pytest
import safetensors.torch
import torch

from benchmarks.second_runs import live_tensors
from lumosx_core.host.conditioning import encodings
from lumosx_core.host.conditioning.encoder import encode_scene
from lumosx_core.host.conditioning.encodings import Encodings, encodings_folder
from lumosx_core.host.conditioning.pictures import UNCONDITIONAL
from lumosx_core.host.conditioning.video_size import VideoSize
from lumosx_core.host.weights.tiny import FIXED, load_tiny_models
from lumosx_core.scene.relations import Kind, Reference, Scene, Subject
from lumosx_core.store import TensorStore

PROMPT = "A man on the left with a red hat and a woman on the right with a blue scarf in a sunny park near a lamp"
SIZE = VideoSize(64, 48, 9)


@pytest.fixture(autouse=True)
def user_folder(tmp_path, monkeypatch):
    """Every test starts without encodings, and leaves none behind."""
    monkeypatch.setattr(folder_paths, "user_directory", str(tmp_path))


@pytest.fixture
def models(tiny):
    """CLIP and VAE, on a clone that a test may change."""
    return tiny[1].clone(), tiny[2]


@pytest.fixture
def calls(monkeypatch):
    """How often the host's own classes were called, under the names of their methods."""
    seen = {}

    def count(holder, name, label):
        original = getattr(holder, name)

        def counting(*arguments, **options):
            seen[label] = seen.get(label, 0) + 1
            return original(*arguments, **options)

        monkeypatch.setattr(holder, name, counting)

    count(comfy.sd.CLIP, "encode_from_tokens", "clip")
    count(comfy.text_encoders.t5.T5, "forward", "umt5")
    count(comfy.sd.VAE, "encode", "vae")
    count(comfy.model_management, "load_models_gpu", "load")
    return seen


def files():
    return sorted(path.name for path in encodings_folder().glob("*")) if encodings_folder().exists() else []


def everything(encoded):
    """All tensors of an encoded scene as raw bits, and what else stands beside them."""
    found = {}
    for name in ("positive", "negative"):
        (embedding, options), = getattr(encoded, name)
        latents = options["model_conds"]["lumosx_references"].cond
        for label, tensor in (("embedding", embedding), *enumerate(latents)):
            found[name, label] = (tensor.dtype, tensor.device, tensor.shape, bits(tensor).tolist())
        found[name, "options"] = {key: value for key, value in options.items() if key != "model_conds"}
        found[name, "binding"] = options["model_conds"]["lumosx_binding"].cond
    return found


def bits(tensor):
    return tensor.contiguous().flatten().view(torch.int32)


def text(clip, prompt="a red hat", reuse=True):
    return Encodings(reuse).text(clip, clip.tokenize(prompt))


@pytest.mark.parametrize("unconditional", UNCONDITIONAL)
def test_a_second_run_gives_the_same_bits_and_touches_no_model(models, make_scene, calls, unconditional):
    scene = make_scene()
    plain = everything(encode_scene(*models, scene, PROMPT, "blurred", SIZE, unconditional))
    assert files() == []
    first = everything(encode_scene(*models, scene, PROMPT, "blurred", SIZE, unconditional, reuse=True))
    assert calls["clip"] == calls["umt5"] == 4 and calls["vae"] == (14 if unconditional == "white pictures" else 12)
    comfy.model_management.unload_all_models()
    calls.clear()
    second = everything(encode_scene(*models, scene, PROMPT, "blurred", SIZE, unconditional, reuse=True))
    assert calls == {} and comfy.model_management.current_loaded_models == []
    assert plain == first == second


def test_another_object_from_the_same_file_finds_them_too(models, make_scene, calls):
    """As after a restart of the server."""
    encode_scene(*models, make_scene(), PROMPT, "blurred", SIZE, reuse=True)
    with torch.inference_mode(False):
        _, clip, vae = load_tiny_models(FIXED)
    calls.clear()
    encode_scene(clip, vae, make_scene(), PROMPT, "blurred", SIZE, reuse=True)
    assert calls == {}


def test_only_what_changed_is_encoded(models, make_scene, calls):
    encode_scene(*models, make_scene(), PROMPT, "blurred", SIZE, reuse=True)
    calls.clear()
    encode_scene(*models, make_scene(man=7), PROMPT, "blurred", SIZE, reuse=True)
    # Another face and another hat.
    assert (calls["vae"], calls.get("clip")) == (2, None)
    calls.clear()
    encode_scene(*models, make_scene(), PROMPT + " at night", "blurred", SIZE, reuse=True)
    assert (calls.get("vae"), calls["clip"]) == (None, 1)
    calls.clear()
    encode_scene(*models, make_scene(), PROMPT, "blurred", VideoSize(48, 64, 9), reuse=True)
    assert (calls["vae"], calls.get("clip")) == (6, None)


def test_upright_and_lying_pictures_of_one_colour_are_two(models):
    """Their bytes are the same."""
    scene = Scene(objects=(Reference(Kind.OBJECT, "lamp", torch.ones(1, 8, 8, 3)),))
    for width, height in ((64, 48), (48, 64)):
        encoded = encode_scene(*models, scene, "a lamp", "", VideoSize(width, height, 9), reuse=True)
        (latent,) = encoded.positive[0][1]["model_conds"]["lumosx_references"].cond
        assert latent.shape == (1, 16, 1, height // 8, width // 8)


@pytest.mark.parametrize("reuse", [False, True])
def test_the_same_picture_twice_is_encoded_once(models, picture, calls, reuse):
    people = tuple(Subject(Reference(Kind.FACE, phrase, picture(1))) for phrase in ("man", "woman", "lamp"))
    encoded = encode_scene(*models, Scene(subjects=people), "man, woman, lamp", "", SIZE, reuse=reuse)
    latents = encoded.positive[0][1]["model_conds"]["lumosx_references"].cond
    assert calls["vae"] == 1 and all(torch.equal(latent, latents[0]) for latent in latents)


def test_off_nothing_is_read_or_written(models, make_scene, calls):
    encode_scene(*models, make_scene(), PROMPT, "blurred", SIZE, reuse=True)
    before = files()
    calls.clear()
    encode_scene(*models, make_scene(), PROMPT, "blurred", SIZE)
    assert (calls["vae"], calls["clip"]) == (6, 2) and files() == before
    encode_scene(*models, make_scene(), PROMPT + " at night", "blurred", SIZE)
    assert files() == before


def test_weights_in_a_prompt_make_another_text(models, calls):
    clip, _ = models
    plain, weighted = text(clip, "a red hat"), text(clip, "a (red:1.3) hat")
    assert calls["clip"] == 2 and not torch.equal(plain[0][0], weighted[0][0])
    assert torch.equal(text(clip, "a (red:1.3) hat")[0][0], weighted[0][0]) and calls["clip"] == 2


def changed_weight(clip):
    layer = "umt5xxl.transformer.encoder.block.0.layer.0.SelfAttention.q"
    return layer, torch.full(comfy.utils.get_attr(clip.cond_stage_model, f"{layer}.weight").shape, 0.5)


def with_lora(clip):
    layer, difference = changed_weight(clip)
    assert clip.add_patches({f"{layer}.weight": (difference,)}, 1.0)


def with_scheduled_hook(clip):
    """As the host's node Set CLIP Hooks does it."""
    layer, difference = changed_weight(clip)
    lora = {f"text_encoders.{layer}.diff": difference}
    group = comfy.hooks.create_hook_lora(lora=lora, strength_model=1.0, strength_clip=1.0)
    clip.apply_hooks_to_conds = clip.patcher.forced_hooks = group.clone()
    clip.use_clip_schedule = True
    clip.patcher.register_all_hook_patches(group, comfy.hooks.create_target_dict(comfy.hooks.EnumWeightTarget.Clip))


def with_hook_for_the_sampler(clip):
    clip.apply_hooks_to_conds = comfy.hooks.create_hook_lora(lora={}, strength_model=1.0, strength_clip=1.0)


def with_another_method(clip):
    clip.encode_from_tokens_scheduled = lambda tokens: [[torch.ones(1, 512, 4096), {"pooled_output": None}]]


def with_object_patch(clip):
    clip.patcher.add_object_patch("umt5xxl.transformer.encoder.final_layer_norm", torch.nn.Identity())


CHANGES = [with_lora, with_scheduled_hook, with_hook_for_the_sampler, with_another_method, with_object_patch,
           lambda clip: clip.clip_layer(-2), lambda clip: clip.set_tokenizer_option("umt5xxl_min_length", 600),
           lambda clip: clip.patcher.add_wrapper("any", lambda *arguments: None)]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_encoder_neither_reads_nor_writes(models, calls, change):
    clip, _ = models
    kept = text(clip)[0][0]
    changed = clip.clone()
    change(changed)
    before = files()
    fresh = text(changed, reuse=False)
    calls.clear()
    found = text(changed)
    # The small encoder makes the same of some changes, so only its calls tell that nothing was read.
    assert calls.get("umt5") or change is with_another_method
    assert len(found) == len(fresh) and found[0][1].keys() == fresh[0][1].keys() and files() == before
    assert torch.equal(bits(found[0][0]), bits(fresh[0][0]))
    assert torch.equal(bits(text(clip)[0][0]), bits(kept))


@pytest.mark.parametrize("change", [
    {"first_stage_model": torch.nn.Identity()}, {"first_stage_model": None}, {"encode": lambda pixels: pixels},
])
def test_a_changed_vae_is_never_identified(models, change):
    _, vae = models
    assert encodings._picture_inputs(vae, "content")
    changed = copy.copy(vae)
    for name, value in change.items():
        setattr(changed, name, value)
    assert encodings._picture_inputs(changed, "content") is None


@pytest.mark.parametrize("change", [with_lora, with_scheduled_hook], ids=lambda change: change.__name__)
def test_a_lora_on_a_clone_does_not_hide_the_encoder_itself(models, calls, change):
    """Its weights lie in the model that both share until the other is loaded again."""
    clip, _ = models
    kept = text(clip)[0][0]
    changed = clip.clone()
    change(changed)
    assert not torch.equal(text(changed)[0][0], kept) and (clip.patcher.backup or clip.patcher.hook_backup)
    calls.clear()
    assert torch.equal(text(clip)[0][0], kept) and calls == {}


def test_an_embedding_in_the_prompt_is_never_kept(models, tmp_path, monkeypatch):
    clip, _ = models
    safetensors.torch.save_file({"emb_params": torch.randn(2, 4096)}, tmp_path / "style.safetensors")
    tokenizer = getattr(clip.tokenizer, clip.tokenizer.clip)
    monkeypatch.setattr(tokenizer, "embedding_directory", str(tmp_path))
    tokens = clip.tokenize("embedding:style a hat")
    assert any(torch.is_tensor(token) for token, _ in tokens["umt5xxl"][0])
    Encodings(True).text(clip, tokens)
    assert files() == []


def test_what_a_file_cannot_hold_exactly_is_not_kept(models, monkeypatch):
    clip, _ = models
    plain = clip.encode_from_tokens_scheduled(clip.tokenize("a hat"))
    for extra in ({"hooks": object()}, {"start_percent": 0.5}, {"mask": torch.ones(4, 4).T[:2]},
                  {"mask": torch.ones(2, dtype=torch.complex64)}):
        monkeypatch.setattr(
            comfy.sd.CLIP, "encode_from_tokens_scheduled", lambda *_: [[plain[0][0], {**plain[0][1], **extra}]]  # noqa: B023
        )
        assert text(clip)[0][1].keys() == plain[0][1].keys() | extra.keys() and files() == []
    monkeypatch.setattr(comfy.sd.CLIP, "encode_from_tokens_scheduled", lambda *_: plain * 2)
    assert len(text(clip)) == 2 and files() == []


def test_everything_that_comes_with_an_embedding_comes_back(models, monkeypatch):
    clip, _ = models
    embedding = torch.randn(1, 512, 4096)
    extra = {"pooled_output": embedding[:, 0], "attention_mask": torch.arange(512)[None] < 9, "none": None,
             "half": torch.randn(3).half(), "a/b.c": torch.randn(2, 2)}
    monkeypatch.setattr(comfy.sd.CLIP, "encode_from_tokens_scheduled", lambda *_: [[embedding, dict(extra)]])
    first = text(clip)
    monkeypatch.setattr(comfy.sd.CLIP, "encode_from_tokens_scheduled", None)
    (found, options), = text(clip)
    assert torch.equal(found, embedding) and options.keys() == first[0][1].keys() == extra.keys()
    assert options["none"] is None
    assert all(torch.equal(options[name], value) for name, value in extra.items() if value is not None)


def test_padding_costs_next_to_nothing(models):
    clip, _ = models
    (embedding, _), = text(clip, "a red hat")
    words = int(embedding.ne(0).any(-1).sum())
    (name,) = files()
    size = (encodings_folder() / name).stat().st_size
    # Zeros of both signs stand in the padding, one bit each.
    assert words < 10 and torch.signbit(embedding[0, words:]).any()
    assert size < embedding[0, :words].nbytes + embedding[0, words:].numel() / 8 + 2000


def test_a_damaged_entry_is_made_again(models, make_scene, calls):
    plain = everything(encode_scene(*models, make_scene(), PROMPT, "blurred", SIZE, reuse=True))
    for name in files():
        path = encodings_folder() / name
        path.write_bytes(path.read_bytes()[:-100] + b"\x01" * 100)
    calls.clear()
    again = everything(encode_scene(*models, make_scene(), PROMPT, "blurred", SIZE, reuse=True))
    assert (calls["vae"], calls["clip"]) == (6, 2) and plain == again


def test_a_folder_that_cannot_be_written_costs_one_warning(models, make_scene, caplog):
    encodings_folder().parent.mkdir(parents=True)
    encodings_folder().write_bytes(b"")
    plain = everything(encode_scene(*models, make_scene(), PROMPT, "blurred", SIZE))
    assert everything(encode_scene(*models, make_scene(), PROMPT, "blurred", SIZE, reuse=True)) == plain
    assert caplog.text.count("nothing can be stored there") == 1


@pytest.mark.parametrize("at_hand", [False, True])
def test_an_interrupt_stops_between_pictures(models, make_scene, monkeypatch, at_hand):
    if at_hand:
        encode_scene(*models, make_scene(), PROMPT, "blurred", SIZE, reuse=True)
    holder, name = (TensorStore, "read") if at_hand else (comfy.sd.VAE, "encode")
    original, pictures = getattr(holder, name), []

    def interrupting(*arguments):
        pictures.append(len(pictures))
        if len(pictures) == 2:
            comfy.model_management.interrupt_current_processing()
        return original(*arguments)

    monkeypatch.setattr(holder, name, interrupting)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        encode_scene(*models, make_scene(), PROMPT, "blurred", SIZE, reuse=True)
    assert len(pictures) == 2 and len(files()) == (8 if at_hand else 2)


def test_the_progress_bar_moves_also_when_all_is_at_hand(models, make_scene, monkeypatch):
    shown = []
    monkeypatch.setattr(
        comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, preview, **options: shown.append((value, total))
    )
    for _ in range(2):
        shown.clear()
        encode_scene(*models, make_scene(), PROMPT, "blurred", SIZE, reuse=True)
        # Later versions of ComfyUI leave out steps that follow too soon.
        assert shown[-1] == (6, 6) and shown == sorted(shown)


def test_the_folder_lies_where_the_server_lets_no_one_look(tmp_path):
    assert encodings_folder() == tmp_path / "__lumosx" / "encodings"
    assert folder_paths.get_public_user_directory("__lumosx") is None


@pytest.fixture
def only_new_objects():
    """Lets the garbage collector pass over what is there already, of which a long test run holds a great deal."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.slow
def test_run_after_run_leaves_no_tensors_behind_and_a_bounded_folder(models, picture, monkeypatch, only_new_objects):
    """With other prompts, pictures, sizes and numbers of references each time."""
    monkeypatch.setattr(encodings, "LIMIT", 1 << 20)
    phrases = ("man", "woman", "dog", "lamp")
    alive, kept = [], []
    for run in range(14):
        people = tuple(
            Subject(Reference(Kind.FACE, phrase, picture(10 * run + number)))
            for number, phrase in enumerate(phrases[:1 + run % 4])
        )
        prompt = "man woman dog lamp " * (1 + run % 5) + str(run)
        encoded = encode_scene(
            *models, Scene(subjects=people), prompt, "blurred", VideoSize(64, 48 + 16 * (run % 3), 9), reuse=True
        )
        assert encoded.positive[0][0].any()
        del encoded, people
        alive.append(live_tensors())
        kept.append(sum((encodings_folder() / name).stat().st_size for name in files()))
    # The first runs may fill caches of torch and the host.
    assert len(set(alive[2:])) == 1
    assert 1 << 19 < kept[-1] <= max(kept) <= 1 << 20 and kept != sorted(kept)


def test_the_bound_is_that_of_the_tooltip():
    node = Path(__file__).parents[4] / "nodes" / "encode.py"
    assert f"The folder grows to {encodings.LIMIT >> 20} MB " in node.read_text(encoding="utf-8")


def test_every_kind_of_value_comes_back_packed_or_plain():
    padded = torch.tensor([[[1.0, -0.0], [0.0, -0.0], [-0.0, 0.0]]])
    values = {
        "padded": padded, "line": torch.tensor([0.0, 1.0]), "ids": torch.tensor([[1, 2], [0, 0]]), "nothing": None,
        "zero": torch.zeros(2, 3), "one": torch.tensor(3.0),
    }
    tensors, note = encodings._pack(values)
    assert "line" in tensors and "ids" in tensors and tensors["padded.rows"].shape == (1, 2)
    back = encodings._unpack(dict(tensors), note)
    assert back.keys() == values.keys() and back["nothing"] is None
    for name in ("padded", "line", "ids", "zero", "one"):
        assert torch.equal(back[name], values[name])
        assert torch.equal(torch.signbit(back[name].float()), torch.signbit(values[name].float())), name

"""Which backends are found, what is said of those that are not, and that every call is attention."""

import importlib
import sys
from dataclasses import replace
from types import SimpleNamespace

import comfy.ldm.modules.attention
import pytest
import torch

from lumosx_core.attention import backends
from lumosx_core.attention.backend_calls import run_kernel, unsupported_reason
from lumosx_core.attention.backend_kernels import Hardware, hardware_of, kernel_order, load_pytorch
from lumosx_core.attention.backends import BACKENDS, CHOICES, check_choice, resolve_backend
from lumosx_core.errors import LumosXError
from support.attention_packages import MAKEABLE, installer
from tools.stand_ins import hide_for

CPU = torch.device("cpu")
HERE = hardware_of(CPU)
AMPERE, ADA, HOPPER, B200, BLACKWELL = (
    Hardware("cuda", name, capability)
    for name, capability in (
        ("A100", (8, 0)), ("RTX 4090", (8, 9)), ("H200", (9, 0)), ("B200", (10, 0)), ("RTX 5090", (12, 0)),
    )
)
TURING, AMD, MAC = Hardware("cuda", "RTX 2080", (7, 5)), Hardware("rocm", "RX 7900"), Hardware("mps", "mps")
HEADS, HEAD_DIM = 3, 64


def card_for(choice):
    """One on which a backend runs."""
    return BLACKWELL if choice == "sageattention 3" else HOPPER


@pytest.fixture
def install(tmp_path):
    """install(choice, version=None, source=None): a stand-in of its package, until the test ends."""
    with installer(tmp_path) as run:
        yield run


def refused(choice, *places):
    with pytest.raises(LumosXError) as caught:
        check_choice(choice, places)
    return one_sentence(caught)


def one_sentence(caught):
    sentence = str(caught.value)
    assert sentence.startswith("backend: ") and sentence.endswith(".") and ". " not in sentence and "\n" not in sentence
    return sentence


def installed(module):
    return importlib.util.find_spec(module) is not None


def test_choices_are_forever():
    assert CHOICES == (
        "auto", "pytorch", "sageattention 1", "sageattention 2", "flash attention 2", "flash attention 3", "xformers",
        "comfy-kitchen int8", "sageattention 3",
    )


@pytest.mark.parametrize("choice", BACKENDS)
def test_on_a_cpu_only_pytorch_is_there(choice):
    kinds = "NVIDIA card" if choice in ("flash attention 3", "sageattention 3") else "NVIDIA or AMD card"
    assert refused(choice, HERE) == (
        f"backend: {choice} needs an {kinds}, but models run on the CPU here; choose auto or pytorch."
    )


@pytest.mark.parametrize(
    ("choice", "advice"),
    [
        ("sageattention 1", "{python} -m pip install sageattention==1.0.6"),
        ("sageattention 2", "{python} -m pip install --no-build-isolation git+https://github.com/thu-ml/Sage"),
        ("flash attention 2", "{python} -m pip install --no-build-isolation flash-attn torch=={torch} and restart"),
        ("flash attention 3", "build the folder hopper of github.com/Dao-AILab/flash-attention"),
        ("xformers", "{python} -m pip install xformers torch=={torch}"),
        ("comfy-kitchen int8", "{python} -m pip install --upgrade comfy-kitchen torch=={torch} and restart ComfyUI"),
        ("sageattention 3", "build the folder sageattention3_blackwell of github.com/thu-ml/SageAttention"),
    ],
)
def test_what_is_missing_is_said_with_how_to_get_it(monkeypatch, choice, advice):
    """For the Python that runs, and with the torch that is there: xformers alone would replace it."""
    hide_for(monkeypatch, [BACKENDS[choice].module])
    sentence = refused(choice, card_for(choice))
    assert sentence.startswith(f"backend: {choice} is not installed; ") and sentence.endswith(", or choose auto.")
    assert advice.format(python=sys.executable, torch=torch.__version__) in sentence


@pytest.mark.parametrize(
    ("choice", "place", "words"),
    [
        ("flash attention 3", ADA, "of compute capability from 9.0 and below 10.0, but RTX 4090 has 8.9;"),
        ("flash attention 3", BLACKWELL, "but RTX 5090 has 12.0;"),
        ("flash attention 3", B200, "from 9.0 and below 10.0, but B200 has 10.0;"),
        ("flash attention 3", AMD, "needs an NVIDIA card, but models run on RX 7900 here;"),
        ("sageattention 3", HOPPER, "of compute capability 12.0 or more, but H200 has 9.0;"),
        ("sageattention 3", B200, "of compute capability 12.0 or more, but B200 has 10.0;"),
        ("flash attention 2", TURING, "of compute capability 8.0 or more, but RTX 2080 has 7.5;"),
        ("sageattention 2", TURING, "of compute capability 8.0 or more"),
        ("comfy-kitchen int8", Hardware("cuda", "GTX 1080", (6, 1)), "of compute capability 7.5 or more"),
        ("xformers", MAC, "needs an NVIDIA or AMD card, but models run on mps here;"),
    ],
)
def test_an_unsuited_card_is_named_before_anything_is_to_be_installed(choice, place, words):
    sentence = refused(choice, place)
    assert words in sentence and sentence.endswith("choose auto or pytorch.")


def test_one_suited_card_among_several_is_enough(install):
    install("flash attention 2")
    check_choice("flash attention 2", [TURING, ADA])


def test_an_unknown_choice():
    assert "backend: flash attention 9 is not a choice" in refused("flash attention 9", HERE)


@pytest.mark.parametrize("choice", BACKENDS)
def test_nothing_is_imported_to_look_for_it(install, choice):
    module = install(choice, source="raise RuntimeError('imported')")
    check_choice(choice, [card_for(choice)])
    assert module not in sys.modules


@pytest.mark.parametrize(("choice", "there"), [("sageattention 2", "1.0.6"), ("sageattention 1", "2.2.0")])
def test_versions_are_distinguished(install, choice, there):
    install(choice, version=there)
    assert f"{choice} was chosen, but sageattention {there} is installed; " in refused(choice, ADA)


def test_a_folder_of_another_package_is_no_flash_attention(tmp_path, install):
    """FlashAttention 4 puts its files into a folder flash_attn as well."""
    module = install("flash attention 2")
    (tmp_path / "flash_attn-2.8.3.dist-info").rename(tmp_path / "flash_attn_4-4.0.0.dist-info")
    importlib.invalidate_caches()
    assert f"is not installed ({module} comes from another package)" in refused("flash attention 2", ADA)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_triton", "does not run on this machine (No module named 'no_such_triton')"),
        ("def sageattn(*a, **k): raise RuntimeError('no kernel image\\nfor this card')", "machine (no kernel image);"),
        ("", "cannot import name 'sageattn'"),
        ("def sageattn(q, *a, **k): return q", "does not compute attention correctly on this card (cosine"),
        ("def sageattn(q, *a, **k): return q * float('nan')", "does not compute attention correctly"),
    ],
)
def test_a_broken_build_is_found_before_sampling(install, source, words):
    install("sageattention 2", source=source)
    with pytest.raises(LumosXError) as caught:
        resolve_backend("sageattention 2", ADA, CPU, torch.bfloat16)
    assert words in one_sentence(caught)


def test_a_precision_that_is_not_taken(install):
    install("flash attention 2")
    with pytest.raises(LumosXError) as caught:
        resolve_backend("flash attention 2", ADA, CPU, torch.float32)
    assert "takes float16 and bfloat16, but this model computes in float32" in one_sentence(caught)


def test_auto_takes_the_fastest_of_full_precision(install):
    assert resolve_backend("auto", HERE, CPU, torch.float32).title == "PyTorch"
    for choice in ("sageattention 2", "flash attention 2", "flash attention 3", "comfy-kitchen int8"):
        install(choice)
    assert resolve_backend("auto", HOPPER, CPU, torch.bfloat16).title == "FlashAttention 3"
    for place, dtype in ((HOPPER, torch.float32), *((card, torch.bfloat16) for card in (ADA, B200, BLACKWELL))):
        chosen = resolve_backend("auto", place, CPU, dtype)
        assert (chosen.title, chosen.backend) == ("PyTorch", None) and "since" not in chosen.note


@pytest.mark.parametrize("place", [HOPPER, ADA, AMD, HERE])
def test_auto_says_nothing_of_a_package_that_is_not_installed(monkeypatch, place):
    hide_for(monkeypatch, [BACKENDS["flash attention 3"].module])
    chosen = resolve_backend("auto", place, CPU, torch.bfloat16)
    assert (chosen.title, chosen.backend) == ("PyTorch", None) and "since" not in chosen.note


def test_auto_says_why_a_broken_flash_attention_3_is_passed_over(install):
    install("flash attention 3", source="raise ImportError('undefined symbol')")
    chosen = resolve_backend("auto", HOPPER, CPU, torch.bfloat16)
    assert chosen.title == "PyTorch"
    assert "since flash attention 3 is installed but does not run on this machine (undefined symbol)" in chosen.note


def test_the_order_of_kernels_follows_the_card():
    assert kernel_order(HOPPER) == kernel_order(BLACKWELL) == (
        "CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH",
    )
    assert kernel_order(ADA) == ("FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION", "MATH")
    assert kernel_order(HERE) == kernel_order(AMD) == kernel_order(MAC) == ()


def test_where_torch_decides_on_the_kernels_nothing_is_said_of_them(monkeypatch):
    """It takes an order from version 2.6 on."""
    assert resolve_backend("pytorch", HERE, CPU, torch.float32).note == ""
    words = "kernels in the order flash, cudnn, efficient, math"
    assert resolve_backend("pytorch", ADA, CPU, torch.float32).note == f" ({words})"
    monkeypatch.setattr(torch.nn.attention, "sdpa_kernel", lambda backends: None)
    assert kernel_order(HOPPER) == () and resolve_backend("pytorch", ADA, CPU, torch.float32).note == ""


def test_an_order_of_kernels_changes_no_result_and_is_traced_whole():
    q, k, v = tokens(2, 20), tokens(2, 30), tokens(2, 30, seed=1)
    torch.compiler.reset()
    kernel = torch.compile(load_pytorch(kernel_order(HOPPER)), backend="eager", fullgraph=True)
    expected = load_pytorch(())(q, k, v, 0.2)
    torch.testing.assert_close(kernel(q, k, v, 0.2), expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(load_pytorch(())(q, k, v, None), expected, atol=1e-3)


def tokens(batch, length, heads=HEADS, seed=0, dtype=torch.float32):
    """[batch, length, heads, head_dim] with a mean that is not 0, as keys have."""
    return 0.5 + torch.randn(
        batch, length, heads, HEAD_DIM, generator=torch.Generator().manual_seed(1000 * seed + length)
    ).to(dtype)


CASES = [
    (choice, dtype)
    for choice in ("pytorch", *MAKEABLE)
    for dtype in (torch.float32, torch.bfloat16)
    if choice == "pytorch" or dtype in BACKENDS[choice].dtypes
]


@pytest.mark.parametrize(("choice", "dtype"), CASES)
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("keep_split", [False, True])
@pytest.mark.parametrize("scale", [None, 0.25])
def test_every_form_of_a_call_is_attention(install, choice, dtype, split, keep_split, scale):
    """Against the host's PyTorch attention; the packages are stand-ins. None may change what it was given."""
    if choice != "pytorch":
        install(choice)
    chosen = resolve_backend(choice, card_for(choice), CPU, dtype)
    if chosen.backend is not None:
        # Which lengths are computed elsewhere is another test.
        chosen = replace(chosen, backend=replace(chosen.backend, fewest_tokens=0))
    everything = tokens(2, 50, 3 * HEADS, dtype=dtype)
    q, k, v = everything[:, 5:25, :HEADS], everything[:, :, HEADS:2 * HEADS], everything[:, :, 2 * HEADS:]
    q, k, v = (x.transpose(1, 2) if split else x.flatten(2) for x in (q, k, v))
    before = [x.clone() for x in (q, k, v)]
    assert unsupported_reason(chosen, q, k, v, HEADS, None, split, {"scale": scale}) is None
    measured = run_kernel(chosen.kernel, q, k, v, HEADS, split, keep_split, scale)
    options = {} if scale is None else {"scale": scale}
    expected = host_attention(q, k, v, split, keep_split, **options)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(measured, expected, rtol=tolerance, atol=tolerance)
    assert all(torch.equal(x, y) for x, y in zip((q, k, v), before))


def host_attention(q, k, v, split, keep_split, scale=None):
    # 0.3.75 does not know a scale of the caller's.
    q = q if scale is None else q * (scale * HEAD_DIM**0.5)
    return comfy.ldm.modules.attention.attention_pytorch(
        q, k, v, HEADS, skip_reshape=split, skip_output_reshape=keep_split
    )


@pytest.mark.parametrize("choice", ["sageattention 2", "flash attention 2", "flash attention 3", "comfy-kitchen int8"])
def test_heads_may_share_keys_where_the_package_knows_that(install, choice):
    install(choice)
    chosen = resolve_backend(choice, HOPPER, CPU, torch.bfloat16)
    q, k, v = (tokens(1, 20, heads, seed, torch.bfloat16) for heads, seed in ((4, 0), (2, 1), (2, 2)))
    flat = [x.flatten(2) for x in (q, k, v)]
    assert unsupported_reason(chosen, *flat, 4, None, False, {"enable_gqa": True}) is None
    measured = run_kernel(chosen.kernel, q.flatten(2), k.flatten(2), v.flatten(2), 4, False, False, None)
    k, v = (x.repeat_interleave(2, dim=2) for x in (k, v))
    expected = load_pytorch(())(q, k, v, None).flatten(2)
    torch.testing.assert_close(measured, expected, rtol=2e-2, atol=2e-2)


def test_what_a_backend_cannot_take(install):
    for choice in ("sageattention 1", "flash attention 2"):
        install(choice)
    sage = resolve_backend("sageattention 1", ADA, CPU, torch.float32)
    flash = resolve_backend("flash attention 2", ADA, CPU, torch.bfloat16)
    pytorch = resolve_backend("pytorch", HERE, CPU, torch.float32)
    q = torch.zeros(1, 10, 3 * 64)
    half = q.bfloat16()
    mask = torch.zeros(10, 10)

    def reason(chosen, x, heads=3, mask=None, k=None, **options):
        k = x if k is None else k
        return unsupported_reason(chosen, x, k, k, heads, mask, False, options)

    assert reason(sage, q) is None and reason(flash, half) is None
    for chosen, x in ((sage, q), (flash, half), (pytorch, q)):
        assert reason(chosen, x, mask=mask) == "calls with a mask"
        assert reason(chosen, x, is_causal=True) == "calls with is_causal"
        assert reason(chosen, x.expand(2**15 + 1, -1, -1)) == "very large batches"
    assert reason(flash, q) == "calls in float32"
    assert reason(flash, half, k=q) == "calls in bfloat16"
    assert reason(sage, q, heads=4) == "heads of 48 channels"
    assert reason(sage, q, k=q[..., :64], enable_gqa=True) == "heads that share keys"
    assert reason(pytorch, q, k=q[..., :64], enable_gqa=True) == "heads that share keys"
    assert reason(sage, q, low_precision_attention=False) == "calls that ask for full precision"
    assert reason(flash, half, low_precision_attention=False) is None
    four = torch.zeros(1, 3, 10, 40)
    assert unsupported_reason(sage, four, four, four, 3, None, True, {}) == "heads of 40 channels"


@pytest.mark.parametrize("split", [False, True])
def test_fp4_is_for_long_calls_only(install, split):
    """The length of q decides: a few rows that attend to a long video keep full precision too."""
    install("sageattention 3")
    chosen = resolve_backend("sageattention 3", BLACKWELL, CPU, torch.bfloat16)
    short, long = (torch.zeros(1, length, 1, 128, dtype=torch.bfloat16) for length in (8191, 8192))
    for q, k, reason in (
        (long, short, None), (short, long, "calls of fewer than 8192 tokens"),
        (short, short, "calls of fewer than 8192 tokens"),
    ):
        q, k = (x.transpose(1, 2) if split else x.flatten(2) for x in (q, k))
        assert unsupported_reason(chosen, q, k, k, 1, None, split, {}) == reason


def test_the_real_comfy_kitchen_is_asked_and_its_answer_passed_on():
    """ComfyUI 0.33 installs it; its int8 attention has no code for a CPU, and says so."""
    pytest.importorskip("comfy_kitchen")
    with pytest.raises(LumosXError) as caught:
        resolve_backend("comfy-kitchen int8", ADA, CPU, torch.bfloat16)
    assert "does not run on this machine (q, k, and v must be on the same CUDA device)" in one_sentence(caught)


@pytest.mark.parametrize(("error", "reason"), [
    (RuntimeError(), "(RuntimeError)"), (RuntimeError("  \n"), "(RuntimeError)"), (ValueError(" a\nb"), "(a)"),
])
def test_whatever_a_package_raises_is_said_in_one_line(error, reason):
    def fail():
        raise error

    backend = SimpleNamespace(choice="x", load=fail, advice="")
    with pytest.raises(LumosXError, match="^backend: x is installed but does not run") as caught:
        backends._tried_out(backend, CPU, torch.float32)
    assert reason in one_sentence(caught)


@pytest.mark.parametrize("choice", ["sageattention 2", "sageattention 3"])
@pytest.mark.parametrize(("above", "fits"), [(0.0, True), (-1e-6, False), (float("nan"), False)])
def test_a_package_computes_as_pytorch_does(monkeypatch, choice, above, fits):
    least = BACKENDS[choice].least_cosine
    assert least == {"sageattention 2": 0.98, "sageattention 3": 0.95}[choice]
    cosine = least + above
    monkeypatch.setattr(backends, "probe", lambda kernel, device, dtype: cosine)
    backend = SimpleNamespace(choice="x", load=lambda: "kernel", advice="", least_cosine=least)
    if fits:
        assert backends._tried_out(backend, CPU, torch.float32) == "kernel"
    else:
        with pytest.raises(LumosXError, match="does not compute attention correctly"):
            backends._tried_out(backend, CPU, torch.float32)

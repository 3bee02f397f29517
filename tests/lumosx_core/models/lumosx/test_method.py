"""Wan's blocks under the relational method: in chunks, with gradients, and compiled."""

import copy

import pytest
import torch
from comfy.ldm.modules.attention import attention_pytorch
from torch.utils._python_dispatch import TorchDispatchMode

from lumosx_core.models.lumosx import RelationalOptions


@pytest.mark.parametrize("chunk_tokens", [1, 37, 60, 64, 130, 10_000])
@pytest.mark.parametrize("csam", [True, False])
def test_chunks_change_nothing(forward, make_binding, chunk_tokens, csam):
    binding, options = make_binding(2, [2, 1]), RelationalOptions(csam=csam)
    whole, chunked = (forward(binding, options=options, chunk_tokens=tokens) for tokens in (0, chunk_tokens))
    assert ((chunked - whole).norm() / whole.norm()) < 2e-6


def test_with_gradients_the_stream_is_not_written_to(wan, make_binding):
    """Training needs what a block was given until it has gone back through it."""
    from lumosx_core.models.lumosx import relational_forward

    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(1, 16, 2, 8, 8, generator=generator, requires_grad=True)
    binding, kept = make_binding(1, [1]), []

    def dense(q, k, v, heads):
        q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def watch(index, x, original):
        kept.append((x, x.detach().clone()))
        return original(x)

    references = [torch.randn(1, 16, 1, 8, 8, generator=generator) for _ in range(2)]
    context = torch.randn(1, 512, 64, generator=generator)
    velocity = relational_forward(
        wan, latent, torch.tensor([500.0]), context, references, binding, dense, run_block=watch, chunk_tokens=16
    )
    velocity.square().sum().backward()
    assert latent.grad.isfinite().all() and latent.grad.abs().sum() > 0
    assert all(torch.equal(given, before) for given, before in kept)


def test_a_backend_that_shifts_keys_in_place_spoils_no_other_attention(forward, make_binding):
    """As SageAttention 1 does, also where another node wants to see the video's cross-attention."""
    def shifting(q, k, v, heads):
        result = attention_pytorch(q, k, v, heads)
        k.sub_(k.mean(1, keepdim=True))
        return result

    binding = make_binding(1, [2, 1])
    expected = forward(binding, dense_text=True)
    shifted = forward(binding, dense_text=True, dense=shifting)
    # Shifted keys make the same weights but for rounding; MCAM looks at their size, too.
    assert ((shifted - expected).norm() / expected.norm()) < 2e-6


@pytest.mark.parametrize("dense_text", [False, True])
def test_the_videos_cross_attention_is_a_dense_call_where_it_is_asked_for(forward, make_binding, dense_text):
    """References' is none: it has a bias."""
    keys = []

    def noting(q, k, v, heads):
        keys.append(k.shape[1])
        return attention_pytorch(q, k, v, heads)

    forward(make_binding(1, [1]), dense_text=dense_text, dense=noting)
    assert (512 in keys) == dense_text and len(set(keys)) > 1


class Watch(TorchDispatchMode):
    """The sizes of what is copied, and in which dtype ``addcmul`` is given what it adds to the stream."""

    def __init__(self):
        super().__init__()
        self.copied, self.added = [], []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **options or {})
        name = function.overloadpacket.__name__
        if name == "copy_":
            self.copied.append(result.numel())
        if name == "addcmul":
            self.added.append(arguments[1].dtype)
        return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dense_text", [False, True])
def test_the_stream_is_neither_copied_nor_cast_for_nothing(wan, make_binding, dtype, dense_text):
    from lumosx_core.models.lumosx import TableCache
    from lumosx_core.models.lumosx.method import RelationalMethod
    from lumosx_core.models.lumosx.sequence import SequenceLayout
    from lumosx_core.models.wan.block import BlockInputs, wan_block

    def dense(q, k, v, heads):
        q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        return torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    model = copy.deepcopy(wan).to(dtype)
    layout, options = SequenceLayout(3, 6, 10, make_binding(0, [])), RelationalOptions()
    context = torch.randn(1, 512, 64, dtype=dtype)
    with torch.no_grad():
        tables = TableCache().find(model, context, layout, options, not dense_text)
        method = RelationalMethod(tables, [], dense, dense_text=dense_text)
        inputs = BlockInputs(method.parts, method.rotary, torch.zeros(1, 6, 256), dtype)
        x = torch.randn(1, layout.tokens, 256)
        with Watch() as seen:
            assert wan_block(model.blocks[0], method.attention(0), inputs, False, x) is x
    assert not [size for size in seen.copied if size >= x.numel()]
    # Modulated norms are in the stream's dtype; what the layers give need not be brought to it.
    assert seen.added == [torch.float32, dtype, torch.float32, dtype]


@pytest.fixture
def compiled(wan):
    """The model with every block compiled as other nodes do it, in one graph or not at all, and how often."""
    import torch._dynamo

    torch._dynamo.reset()
    graphs = []

    def backend(graph, examples):
        graphs.append(graph)
        return graph.forward

    model = copy.deepcopy(wan)
    model.blocks = torch.nn.ModuleList(torch.compile(block, backend=backend, fullgraph=True) for block in model.blocks)
    yield model, graphs
    torch._dynamo.reset()


@pytest.mark.compile
def test_compiled_blocks_need_no_second_compilation(forward, make_binding, compiled):
    model, graphs = compiled
    first = make_binding(2, [2, 2])
    assert torch.allclose(forward(first, model=model), forward(first), rtol=1e-4, atol=1e-5)
    # Projections of all rows and of keys alone, what follows for the video and for references.
    assert len(graphs) == 4
    scenes = [make_binding(*scene) for scene in ((1, [2, 2]), (3, [2, 1, 3]), (2, []), (0, [2]), (4, [3, 3]))]
    runs = [{"binding": scene} for scene in scenes] + [
        {"binding": first, **change} for change in (
            {"seed": 5}, {"words": 90}, {"words": 127}, {"options": RelationalOptions(ratio=0.9)}, {"frames": 5},
            {"chunk_tokens": 130},
        )
    ]
    for run in runs:
        assert torch.allclose(forward(model=model, **run), forward(**run), rtol=1e-4, atol=1e-5)
        assert len(graphs) == 4, run
    # A longer bucket of text keys is new code for what attends to them, and so is a single reference.
    forward(first, model=model, words=130)
    assert len(graphs) == 6
    forward(make_binding(1, []), model=model, words=130)
    assert len(graphs) == 7

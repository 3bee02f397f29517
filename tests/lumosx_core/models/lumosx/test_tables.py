"""What a run computes once, and that it is found again."""

import copy

import pytest
import torch

from lumosx_core.models.lumosx import RelationalOptions, TableCache
from lumosx_core.models.lumosx.sequence import Binding, SequenceLayout
from lumosx_core.models.lumosx.tables import KEYS_STEP, MOST_TEXTS, make_tables


def context_of(words, batch=1, length=512, seed=0):
    context = torch.randn(batch, length, 64, generator=torch.Generator().manual_seed(seed))
    context[:, words:] = 0
    return context


@pytest.mark.parametrize("words", [0, 1, 63, 64, 100, 447, 448, 511, 512])
def test_merged_pads_change_nothing(forward, make_binding, words):
    binding = make_binding(1, [2, 1])
    merged, plain = (forward(binding, words=words, dense_text=apart) for apart in (False, True))
    assert ((merged - plain).norm() / plain.norm()) < 2e-6


@pytest.mark.parametrize(("words", "kept"), [(0, 64), (63, 64), (64, 128), (100, 128), (447, 448), (448, 512)])
def test_the_number_of_keys_is_a_multiple(wan, words, kept):
    layout = SequenceLayout(2, 4, 4, Binding((((0, 0),),), (), ()))
    tables = make_tables(wan, context_of(words), layout, RelationalOptions())
    assert {text.keys.shape[1] for text in tables.texts} == {kept} and kept % KEYS_STEP == 0
    assert (tables.texts[0].log_counts is None) == (kept == 512)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("words", [1, 63, 100, 383, 447])
def test_merged_keys_stand_for_all_pads_in_every_precision(wan, words, dtype):
    """bf16 rounds a logarithm by up to 1.6 % of the count."""
    layout = SequenceLayout(2, 4, 4, Binding((((0, 0),),), (), ()))
    counts = make_tables(wan, context_of(words), layout, RelationalOptions()).texts[0].log_counts
    counts = counts.to(dtype).double()
    assert (counts[:words] == counts[0]).all()
    assert (counts[words:] - counts[0]).exp().sum() == pytest.approx(512 - words, rel=1e-4)


def test_a_pad_that_pulls_a_reference_stays_alone(forward, wan):
    """In the unconditional pass the positive prompt's words lie on the pads of a shorter negative one."""
    binding = Binding((((5, 6), (200, 203)),), (((300, 301),),), (1,))
    merged, plain = (forward(binding, words=20, dense_text=apart) for apart in (False, True))
    assert ((merged - plain).norm() / plain.norm()) < 2e-6
    layout = SequenceLayout(3, 6, 10, binding)
    tables = make_tables(wan, context_of(20), layout, RelationalOptions())
    assert tables.texts[0].keys.shape[1] == 320 and tables.word_bias.weights[1, 300] == 0.5
    counts = tables.texts[0].log_counts
    assert (counts[:301] == counts[0]).all() and (counts[301:] > counts[0]).all()


def test_a_pad_that_only_repels_a_reference_stays_alone_too(wan):
    """The same word of three people, of whom one has none of his own: nobody is drawn to it, two are drawn away."""
    people = (((2, 3), (90, 91)), ((3, 4), (90, 91)), ((4, 5),))
    layout = SequenceLayout(2, 4, 4, Binding((), people, (0, 0, 1)))
    tables = make_tables(wan, context_of(20), layout, RelationalOptions())
    assert (tables.word_bias.weights[:, 90] < 0).all() and tables.texts[0].keys.shape[1] == 128
    counts = tables.texts[0].log_counts
    assert (counts[:91] == counts[0]).all() and (counts[91:] > counts[0]).all()


def test_the_longest_text_of_a_batch_decides(wan):
    layout = SequenceLayout(2, 4, 4, Binding((((0, 1),),), (), ()))
    context = torch.cat([context_of(10), context_of(150)])
    assert make_tables(wan, context, layout, RelationalOptions()).texts[0].keys.shape == (2, 192, 256)


def test_a_longer_text_than_the_model_was_made_for_is_kept_whole(wan):
    layout = SequenceLayout(2, 4, 4, Binding((((0, 1),),), (), ()))
    assert make_tables(wan, context_of(600, length=600), layout, RelationalOptions()).texts[0].keys.shape[1] == 600


def test_equal_content_is_found_and_other_content_is_not(wan):
    layout = SequenceLayout(2, 4, 4, Binding((((0, 1),),), (), ()))
    other = SequenceLayout(2, 4, 4, Binding((((0, 2),),), (), ()))
    cache, options = TableCache(), RelationalOptions()
    first = cache.find(wan, context_of(30), layout, options)
    assert cache.find(wan, context_of(30), layout, options) is first
    for arguments in (
        (context_of(30, seed=1), layout, options), (context_of(30, batch=2), layout, options),
        (context_of(30), other, options), (context_of(30), layout, RelationalOptions(ratio=0.1)),
        (context_of(30).bfloat16().float(), layout, options), (context_of(30), layout, options, False),
    ):
        assert cache.find(wan, *arguments) is not first
    assert cache.find(copy.deepcopy(wan), context_of(30), layout, options) is not first
    assert cache.find(wan, context_of(30), layout, options) is first


def test_a_run_keeps_a_bounded_number_of_texts(wan):
    layout = SequenceLayout(2, 4, 4, Binding((((0, 1),),), (), ()))
    cache, options = TableCache(), RelationalOptions()
    tables = [cache.find(wan, context_of(30, seed=seed), layout, options) for seed in range(MOST_TEXTS + 1)]
    assert cache.find(wan, context_of(30, seed=MOST_TEXTS), layout, options) is tables[-1]
    assert cache.find(wan, context_of(30, seed=0), layout, options) is not tables[0]


def test_with_a_cache_the_velocity_is_the_same(forward, make_binding):
    binding, cache = make_binding(2, [2]), TableCache()
    for seed in (0, 1, 0):
        assert torch.equal(forward(binding, seed=seed, cache=cache), forward(binding, seed=seed))


@pytest.mark.parametrize("length", [5, 511, 512, 513, 600])
def test_a_text_without_pads_keeps_its_length_and_a_shorter_one_gets_pads(wan, length):
    layout = SequenceLayout(2, 4, 4, Binding((((0, 0),),), (), ()))
    context = context_of(length, length=length)
    merged = make_tables(wan, context, layout, RelationalOptions()).texts[0]
    plain = make_tables(wan, context, layout, RelationalOptions(), merge_pads=False).texts[0]
    assert plain.keys.shape[1] == max(512, length)
    assert merged.keys.shape[1] == (64 if length == 5 else max(512, length))
    assert torch.allclose(merged.keys[:, :5], plain.keys[:, :5], atol=1e-5)

"""Each phase of a forward in bytes, by hand, and the ways of cutting one up."""

from types import SimpleNamespace

import pytest

from lumosx_core.models.lumosx import cost
from lumosx_core.models.lumosx.cost import CHUNK_TOKENS, SMALLER_CHUNKS, Chunks

CONFIG = SimpleNamespace(dim=10, ffn_dim=100)


def layout(video=60, references=40, frame=20, calls=()):
    return SimpleNamespace(
        tokens=video + references, video_tokens=video, frame_tokens=frame, group_calls=calls,
        binding=SimpleNamespace(strengths=()),
    )


@pytest.mark.parametrize(("element", "tokens", "expected"), [
    # In float32 queries, keys, values and two copies; else two float32 copies more.
    (4, 100, 100 * 5 * 4), (2, 100, 100 * (5 * 2 + 8)), (4, 200, 100 * 5 * 4),
    # A chunk's beside those of the whole.
    (4, 99, 3 * 4 * 100 + 99 * 5 * 4), (2, 50, 3 * 2 * 100 + 50 * (5 * 2 + 8)),
])
def test_while_projecting(element, tokens, expected):
    assert cost._while_projecting(layout(), CONFIG, element, tokens) == 10 * expected


@pytest.mark.parametrize(("references", "calls", "batch", "groups"), [
    (0, (), 1, 0), (40, [(60, 1, 40)], 1, 80), (40, [(60, 1, 40)], 2, 80), (40, [(60, 2, 20)], 1, 80),
    (40, [(60, 2, 20)], 2, 40 + 3 * 40), (40, [(60, 1, 20), (80, 2, 10)], 2, 80 + 20),
])
def test_while_attending(references, calls, batch, groups):
    one = layout(references=references, calls=calls)
    assert cost._while_attending(one, CONFIG, 2, batch) == 10 * 2 * (3 * one.tokens + 60 + groups)


@pytest.mark.parametrize(("references", "frame", "tokens", "rows"), [
    (40, 20, 100, 60), (80, 20, 200, 80), (40, 20, 30, 30), (40, 20, 10, 20), (0, 20, 10, 10), (0, 20, 100, 60),
])
def test_while_feeding(references, frame, tokens, rows):
    one = layout(references=references, frame=frame)
    each = 10 * (4 + 3 * 2) + 2 * 100 * 2
    assert cost._while_feeding(one, CONFIG, 2, 4, tokens) == 10 * 2 * one.tokens + rows * each


@pytest.mark.parametrize(("element", "stream", "each"), [(2, 4, 8), (4, 4, 8), (2, 2, 4), (4, 2, 6)])
def test_while_reading_out(element, stream, each):
    assert cost._while_reading_out(layout(), CONFIG, element, stream) == 10 * 60 * each


def test_a_forward_holds_its_stream_and_the_largest_phase():
    one = layout()
    for element, float32, batch, chunks in ((2, True, 1, None), (2, False, 3, Chunks(30)), (4, True, 2, Chunks(0))):
        stream = 4 if float32 else element
        tokens = chunks.tokens if chunks and chunks.tokens else 100
        largest = max(
            cost._while_projecting(one, CONFIG, element, tokens), cost._while_attending(one, CONFIG, element, batch),
            cost._while_feeding(one, CONFIG, element, stream, tokens),
            cost._while_reading_out(one, CONFIG, element, stream),
        )
        found = cost.forward_bytes(one, CONFIG, element, batch, chunks, float32)
        assert found == batch * (100 * 10 * stream + largest)


@pytest.mark.parametrize(("tokens", "choices"), [
    (100, (0,)), (1024, (0,)), (1025, (0, 1024)), (4096, (0, 2048, 1024)), (8192, (0, *SMALLER_CHUNKS)),
    (8193, (0, CHUNK_TOKENS, *SMALLER_CHUNKS)), (16384, (0, CHUNK_TOKENS, *SMALLER_CHUNKS)),
    (16385, (CHUNK_TOKENS, *SMALLER_CHUNKS)),
])
def test_chunks_are_smaller_than_what_they_cut(tokens, choices):
    assert cost._chunk_choices(SimpleNamespace(tokens=tokens)) == choices


@pytest.mark.parametrize(("budget", "free", "passes", "plan"), [
    (0, None, 2, (0, False, 200)), (0, 200, 2, (0, False, 200)), (0, 199, 2, (0, True, 100)),
    (0, 100, 2, (0, True, 100)),
    (0, 99, 2, (8, True, 50)), (0, 50, 1, (8, False, 50)), (0, 49, 1, (4, False, 20)), (0, 20, 2, (4, True, 20)),
    (0, 19, 2, (4, True, 20)), (110, None, 2, (0, True, 100)), (109, None, 2, (8, True, 50)),
    (110, 99, 2, (8, True, 50)), (60, 500, 1, (8, True, 50)), (59, 500, 1, (4, True, 20)), (1, None, 1, (4, True, 20)),
])
def test_the_fastest_plan_that_fits_is_taken(monkeypatch, budget, free, passes, plan):
    """Weights that are streamed take 10 of a budget; passes are run one after the other where they do not fit."""
    needed = {0: 100, 8: 50, 4: 20}
    monkeypatch.setattr(cost, "_chunk_choices", lambda layout: tuple(needed))
    monkeypatch.setattr(cost, "streaming_bytes", lambda config, element: 10)
    monkeypatch.setattr(cost, "peak_bytes", lambda *given, together: needed[given[4].tokens] * together)
    found = cost.plan_forward(None, budget_bytes=budget, free_bytes=free, passes=passes)
    assert (found.chunk_tokens, found.sequential, found.activation_bytes) == plan

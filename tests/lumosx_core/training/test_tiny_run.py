import itertools
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lumosx_core.errors import LumosXError
from lumosx_core.scene.phrases import Tokens
from lumosx_core.scene.relations import Kind, Reference, Scene
from lumosx_core.training import tiny_run
from lumosx_core.training.__main__ import main
from lumosx_core.training.examples import Example


@pytest.mark.slow
def test_a_few_steps_write_weights_record_and_plot(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tiny_run, "CLIPS", 1)
    monkeypatch.setattr(tiny_run, "WorldCheck", lambda *_: lambda: {"faces of 2, own": 0.5})
    out = tmp_path / "small.safetensors"
    assert main(["tiny", "--out", str(out), "--steps", "2"]) == 0
    assert capsys.readouterr().out == f"Trained in 0 minutes: {out}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.json", "small.png", "small.safetensors"]
    first, trained = tiny_run.small_network().state_dict(), load_file(out)
    assert {name: part.shape for name, part in first.items()} == {name: part.shape for name, part in trained.items()}
    assert not torch.equal(first["head.head.weight"], trained["head.head.weight"])
    assert main(["tiny", "--out", str(tmp_path / "on.safetensors"), "--start", str(out), "--steps", "1"]) == 0
    records = [json.loads((tmp_path / name).read_text(encoding="utf-8")) for name in ("small.json", "on.json")]
    assert [(record["command"], record["start"], record["lesson_steps"]) for record in records] == [
        ("python dev.py train tiny", None, tiny_run.LESSON_STEPS),
        ("python dev.py train tiny --start START", "small.safetensors", 0),
    ]


def test_weights_to_begin_with_are_those_of_the_first_step(tmp_path):
    weights = {name: part.float() + 0.5 for name, part in tiny_run.small_network().state_dict().items()}
    save_file(weights, tmp_path / "start.safetensors")
    begun = tiny_run.small_network(tmp_path / "start.safetensors").state_dict()
    assert all(torch.equal(part, weights[name].bfloat16().to(part.dtype)) for name, part in begun.items())


def drawn(seen):
    def start(first):
        seen.append(first)
        return itertools.count(first)

    return start


def take(first, count, seen=None):
    return list(itertools.islice(tiny_run.repeated(drawn([] if seen is None else seen), first, 4, 3), count))


def test_each_sample_of_a_block_comes_as_often_and_the_first_time_in_order():
    order = take(0, 24)
    assert order[:4] == [0, 1, 2, 3] and order[12:16] == [4, 5, 6, 7]
    for block in (order[:12], order[12:]):
        assert all(sorted(block[start:start + 4]) == sorted(block[:4]) for start in (0, 4, 8))
    assert order[4:12] != 2 * order[:4]


@pytest.mark.parametrize("first", [1, 5, 12, 17])
def test_a_resumed_training_goes_on_in_the_same_order(first):
    seen = []
    assert take(first, 20, seen) == take(0, first + 20)[first:]
    assert seen == [first // 12 * 4]


def letters(text, source):
    """A token for each letter."""
    return Tokens(tuple(map(ord, text)), tuple(text.replace(" ", "\u2581")))


def test_clips_of_one_step_have_their_words_at_the_same_tokens():
    def sample(*prompts, scenes=True):
        found = [Scene(objects=(Reference(Kind.OBJECT, "hat", picture),)) for _ in prompts] if scenes else []
        example = Example(torch.zeros(len(prompts), 16, 1, 2, 2), [], list(prompts), found)
        return tiny_run._sample(example, torch.zeros(1), letters, lambda prompt: torch.full((1, 2), len(prompt)))

    picture = torch.zeros(1, 8, 8, 3)
    made = sample("a red hat", "a tan hat")
    assert made.binding.non_human_spans == (((6, 9),),) and made.context.tolist() == [[9, 9], [9, 9]]
    assert sample("a red hat", "a hat", scenes=False).binding == tiny_run.NO_REFERENCES
    with pytest.raises(LumosXError, match="^training: .*'a green hat'.* not at the same tokens"):
        sample("a red hat", "a green hat")

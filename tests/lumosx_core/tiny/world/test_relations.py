import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosx_core.tiny.world.relations import scene_of
from lumosx_core.tiny.world.script import draw_script
from lumosx_core.training.examples import bind
from support.tokens import small_tokenizer


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from([2, 3]))
def test_what_two_wear_under_the_same_words_is_bound_to_each_ones_own(seed, people):
    script = draw_script(np.random.default_rng(seed), people, colour_words=False, same_kinds=True, drop=False)
    binding = bind(scene_of(script), script.prompt, small_tokenizer())
    for number, spans in zip(script.subjects, binding.subject_spans):
        assert len(spans) == 1 + len(script.roles[number].wears)
    # From left to right in the prompt, whatever the order of the references.
    places = {number: sorted(spans) for number, spans in zip(script.subjects, binding.subject_spans)}
    in_order = [span for number in range(people) for span in places[number]]
    assert in_order == sorted(in_order)

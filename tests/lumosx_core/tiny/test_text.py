import comfy.ops
import comfy.text_encoders.t5
import pytest
import sentencepiece
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumosx_core.tiny import text


@pytest.fixture(scope="module")
def tokenizer():
    return sentencepiece.SentencePieceProcessor(model_proto=text.train_tokenizer(), add_eos=True)


def test_training_gives_the_same_bytes():
    assert text.train_tokenizer() == text.train_tokenizer()


def test_the_tokenizer_that_ships_is_the_one_of_the_corpus():
    """Other versions of sentencepiece may make another one; what was trained with this one then still reads it."""
    assert text.text_encoder_state_dict()[text.TOKENIZER_KEY].numpy().tobytes() == text.tokenizer_model()
    assert text.tokenizer_model() == text.train_tokenizer()


def test_a_word_carries_whose_it_is():
    """Of one verb, what stands around it makes the difference, the nearest words most."""
    weights = text.encoder_state_dict(50)
    bias = weights["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"].float()
    back, ahead = bias.unbind(1)
    half = text.POSITION_BUCKETS // 2
    assert back[1] > back[5] > back[half - 1] > ahead[1] and ahead[half + 1] > ahead[half + 5] > back[half + 1]


def test_special_ids_are_those_of_umt5(tokenizer):
    assert (tokenizer.pad_id(), tokenizer.eos_id(), tokenizer.unk_id(), tokenizer.bos_id()) == (0, 1, 2, -1)
    assert tokenizer.encode("") == [text.END_ID]
    assert 1000 <= tokenizer.get_piece_size() <= text.VOCABULARY_LIMIT


@pytest.mark.parametrize("prompt", [
    "A man on the left, wearing a green jacket, plays the guitar.",
    "一个女人站在右边，穿着黄色的连衣裙。",
    "zebra 🎸 crossing – naïve café №5\n  two  spaces ",
])
def test_round_trip(tokenizer, prompt):
    ids = tokenizer.encode(prompt)
    assert ids[-1] == text.END_ID
    assert not {text.PAD_ID, text.END_ID, text.UNKNOWN_ID} & set(ids[:-1])
    assert tokenizer.decode(ids) == prompt


# Sentencepiece takes U+2581 for its own space and stops at NUL.
@given(st.text(st.characters(exclude_characters="\u2581\0", exclude_categories=["Cs"])))
def test_any_text_round_trips(tokenizer, prompt):
    assert tokenizer.decode(tokenizer.encode(prompt)) == prompt


def test_words_are_whole_pieces_wherever_they_stand(tokenizer):
    phrase = tokenizer.encode("green jacket")[:-1]
    assert len(phrase) == 2
    prompt = tokenizer.encode("The man, in a green jacket, smiles.")
    assert any(prompt[start:start + 2] == phrase for start in range(len(prompt)))


def test_encoder_names_and_shapes_are_those_of_comfyui():
    form = {"dense_act_fn": "gelu_pytorch_tanh", "is_gated_act": True, "model_type": "umt5"}
    config = {**text.encoder_config(50), **form}
    model = comfy.text_encoders.t5.T5(config, torch.float32, "cpu", comfy.ops.manual_cast)
    theirs = {name: weight.shape for name, weight in model.state_dict().items()}
    assert {name: weight.shape for name, weight in text.encoder_state_dict(50).items()} == theirs


def test_same_seed_same_weights_and_tokenizer_inside():
    first, again, other = (text.text_encoder_state_dict(seed) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert torch.equal(first[text.TOKENIZER_KEY], other[text.TOKENIZER_KEY])
    assert not torch.equal(first["shared.weight"], other["shared.weight"])
    assert first[text.TOKENIZER_KEY].numpy().tobytes() == text.train_tokenizer()

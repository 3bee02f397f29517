"""Identity cards: written whole, read without trust, and as good as the adapters that made them."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from lumosx_core.errors import LumosXError
from lumosx_core.models.lynx import card
from lumosx_core.models.lynx.attention import KeysValues
from lumosx_core.models.lynx.card import read_card, write_card
from lumosx_core.models.lynx.folding import fold_identities
from lumosx_core.models.lynx.identity import (
    NOBODY,
    PERSON,
    Identity,
    ReferenceInputs,
    identity_tokens,
    projected_identity,
)
from lumosx_core.models.lynx.layers import LayerReader, adapter_checksum
from lumosx_core.models.lynx.recognise import find_lynx
from lumosx_core.models.lynx.resampler import load_resampler
from lumosx_core.weights.opening import open_weights
from support.lynx_files import WIDTH, adapter, block_names, random, release_names, resampler, write


@pytest.fixture
def opened(tmp_path):
    """opened(kind): the parts of real files, open for the test."""
    sources = []

    def parts(kind):
        token_width = 32 if kind == "lite" else WIDTH
        for name, weights in (("resampler", resampler(token_width)), ("ip", release_names(adapter(kind)))):
            sources.append(open_weights(write(tmp_path / f"{kind}_{name}", weights)))
        return find_lynx(sources[-2]).resampler, find_lynx(sources[-1]).id_layers

    yield parts
    for source in sources:
        source.close()


def make_identity(found_resampler, found_layers, name="Ada", projected=True):
    embedding = torch.nn.functional.normalize(random(512, seed=3), dim=0)
    tokens = identity_tokens(load_resampler(found_resampler), embedding)
    text = torch.cat([random(1, 5, 24, seed=5), torch.zeros(1, 507, 24)], dim=1)
    identity = Identity(
        found_layers.sizes.kind, tokens, torch.randint(0, 256, (256, 256, 3), dtype=torch.uint8), name,
        ReferenceInputs.of(random(2, 16, 1, 32, 32, seed=4), text),
        made_with={"resampler": adapter_checksum(found_resampler), "id_layers": adapter_checksum(found_layers)},
    )
    if not projected:
        return identity
    return replace(identity, projected=dict(projected_identity(identity, LayerReader(found_layers))))


@pytest.fixture(scope="module")
def plain():
    """A small identity whose every tensor is there."""
    tokens = random(2, 3, 8, seed=1)
    registers = random(2, 8, seed=9)
    pairs = {
        block: KeysValues(*(torch.stack([torch.cat([random(3, 8, seed=block + row), registers]) for row in (0, 1)])
                            for _ in "kv")) for block in (0, 2)
    }
    latents, text = random(2, 16, 1, 4, 4, seed=2), random(1, 5, 8, seed=3)
    preview = torch.arange(27, dtype=torch.uint8).reshape(3, 3, 3)
    return Identity("full", tokens, preview, "Zoë", ReferenceInputs.of(latents, text), pairs, {"id_layers": "ab" * 32})


@pytest.mark.parametrize("kind", ["full", "lite"])
@torch.no_grad()
def test_a_card_holds_all_that_was_written(kind, opened, tmp_path):
    identity = make_identity(*opened(kind))
    write_card(tmp_path / "ada.safetensors", identity)
    read = read_card(tmp_path / "ada.safetensors")
    (tmp_path / "ada.safetensors").write_bytes(b"")
    assert (read.kind, read.name, read.made_with) == (kind, "Ada", identity.made_with)
    assert torch.equal(read.tokens, identity.tokens) and torch.equal(read.preview, identity.preview)
    assert torch.equal(read.reference.latents, identity.reference.latents)
    assert read.reference.padded_text().shape == (1, 512, 24) and len(read.reference.text) == 5
    assert torch.equal(read.reference.padded_text()[0, :5], identity.reference.text)
    assert list(read.projected) == list(identity.projected)
    for block, pair in identity.projected.items():
        for name in ("keys", "values"):
            stored, exact = getattr(read.projected[block], name), getattr(pair, name)
            assert stored.dtype == torch.float16 and torch.equal(stored, exact.half())


@pytest.mark.parametrize("kind", ["full", "lite"])
@torch.no_grad()
def test_a_card_gives_what_the_adapters_give_without_them(kind, opened, tmp_path):
    found_resampler, found_layers = opened(kind)
    identity = make_identity(found_resampler, found_layers)
    write_card(tmp_path / "card", identity)
    norms = [torch.nn.RMSNorm(WIDTH)] * 4
    without = fold_identities(kind, projected_identity(read_card(tmp_path / "card"), None), norms)
    tokens_only = replace(identity, projected=None)
    with_adapters = fold_identities(kind, projected_identity(tokens_only, LayerReader(found_layers)), norms)
    assert list(without) == list(with_adapters)
    for block, pair in with_adapters.items():
        assert (without[block].keys.float() - pair.keys).norm() / pair.keys.norm() < 1e-3
        assert not torch.allclose(pair.keys[PERSON], pair.keys[NOBODY], atol=1e-2)


@torch.no_grad()
def test_a_card_without_keys_needs_layers_of_its_kind(opened, tmp_path):
    found_resampler, found_layers = opened("full")
    write_card(tmp_path / "card", make_identity(found_resampler, found_layers, projected=False))
    read = read_card(tmp_path / "card")
    assert read.projected is None
    with pytest.raises(LumosXError, match="^identity: .*full ID layers"):
        projected_identity(read, None)
    with pytest.raises(LumosXError, match="^identity: .*lite"):
        projected_identity(read, LayerReader(opened("lite")[1]))
    assert len(dict(projected_identity(read, LayerReader(found_layers)))) == 4


def test_numbers_too_large_for_float16_go_into_bfloat16(plain, tmp_path):
    large = replace(plain, projected={
        block: KeysValues(pair.keys * 1e6, pair.values) for block, pair in plain.projected.items()})
    write_card(tmp_path / "card", large)
    read = read_card(tmp_path / "card").projected[2]
    assert read.keys.dtype == torch.bfloat16 and read.values.dtype == torch.float16
    assert torch.allclose(read.keys.float(), large.projected[2].keys, rtol=1e-2)


def test_at_the_sizes_of_14b_a_card_has_39_or_13_megabytes(tmp_path):
    """Zeros of the real shapes."""
    for kind, token_width, registers, blocks, low, high in (
        ("full", 5120, 16, range(40), 39e6, 41e6), ("lite", 2048, 0, range(0, 40, 2), 13e6, 15e6),
    ):
        rows = torch.zeros(2, 16 + registers, 5120, dtype=torch.float16)
        reference = ReferenceInputs.of(torch.zeros(2, 16, 1, 32, 32), torch.ones(1, 512, 4096)[:, :6])
        identity = Identity(
            kind, torch.zeros(2, 16, token_width), torch.zeros(256, 256, 3, dtype=torch.uint8), reference=reference,
            projected={block: KeysValues(rows, rows) for block in blocks},
        )
        write_card(tmp_path / kind, identity)
        assert low < (tmp_path / kind).stat().st_size < high
        write_card(tmp_path / kind, replace(identity, projected=None))
        assert (tmp_path / kind).stat().st_size < 1.2e6


def test_a_full_disk_leaves_the_old_card(plain, tmp_path, full_disk):
    path = tmp_path / "card"
    write_card(path, plain)
    before = path.read_bytes()
    with full_disk(len(before) // 2), pytest.raises(LumosXError, match="cannot be written"):
        write_card(path, replace(plain, name="another"))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("change", "named"), [
    ({"name": "a" * 201}, "its name is longer than 200"),
    ({"preview": torch.zeros(600, 3, 3, dtype=torch.uint8)}, r"preview .*\[600, 3, 3\]"),
    ({"preview": torch.zeros(3, 3, 3)}, "preview is F32"),
    ({"tokens": torch.full((2, 3, 8), float("nan"))}, "not finite"),
    ({"tokens": torch.zeros(3, 3, 8)}, r"tokens .*\[3, 3, 8\]"),
    ({"kind": "ref"}, "does not fit"), ({"made_with": {"base": "ab"}}, "does not fit"),
    ({"reference": ReferenceInputs(torch.zeros(2, 16, 1, 160, 160), torch.zeros(1, 8), 9)}, "latents"),
])
def test_what_fits_on_no_card_is_said_before_anything_is_written(change, named, plain, tmp_path):
    with pytest.raises(LumosXError, match=f"^identity: .*{named}"):
        write_card(tmp_path / "card", replace(plain, **change))
    assert not list(tmp_path.iterdir())


def contents(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def rewritten(path, tensors, metadata, honest=True):
    """As a stranger may write it, with a checksum that fits."""
    if honest:
        text = metadata.get("lumosx.lynx_facts", "")
        metadata = {**metadata, "lumosx.sha256": card._checksum(tensors, text)}
    save_file(tensors, path, metadata)


def with_facts(**facts):
    def change(tensors, metadata):
        metadata["lumosx.lynx_facts"] = json.dumps({**json.loads(metadata["lumosx.lynx_facts"]), **facts})
    return change


CHANGES = [
    (lambda tensors, metadata: tensors.pop("tokens"), "it holds"),
    (lambda tensors, metadata: tensors.pop("values"), "it holds"),
    (lambda tensors, metadata: tensors.pop("text"), "it holds"),
    (lambda tensors, metadata: tensors.update(extra=torch.zeros(1)), "extra"),
    (lambda tensors, metadata: tensors.update(tokens=torch.zeros(2, 65, 8)), r"\[2, 65, 8\]"),
    (lambda tensors, metadata: tensors.update(tokens=torch.zeros(2, 3, 8).double()), "F64"),
    (lambda tensors, metadata: tensors.update(preview=torch.zeros(9, 9, 4, dtype=torch.uint8)), r"\[9, 9, 4\]"),
    (lambda tensors, metadata: tensors.update(latents=torch.zeros(2, 16, 1, 4, 4) / 0), "not finite"),
    (lambda tensors, metadata: tensors.update(keys=torch.zeros(1, 8, 8).half()), "do not fit"),
    (lambda tensors, metadata: tensors.update(keys=torch.zeros(2, 2, 8).half(), values=torch.zeros(2, 2, 8).half()),
     "do not fit"),
    (lambda tensors, metadata: tensors.update(keys=torch.zeros(2, 5, 8).half(), values=torch.zeros(2, 5, 8).half()),
     "do not fit"),
    (lambda tensors, metadata: metadata.pop("lumosx.lynx_facts"), "cannot be read"),
    (lambda tensors, metadata: metadata.update({"lumosx.lynx_facts": "[" * 100_000}), "cannot be read"),
    (lambda tensors, metadata: metadata.update({"lumosx.lynx_facts": "[" * 50_000}), "cannot be read"),
    (lambda tensors, metadata: metadata.update({"lumosx.lynx_card": "2"}), "version '2'"),
    (lambda tensors, metadata: metadata.pop("lumosx.lynx_card"), "no identity card"),
    (with_facts(kind="ref"), "does not fit"), (with_facts(kind=["full"]), "does not fit"),
    (with_facts(blocks=[2, 0]), "does not fit"), (with_facts(blocks=[0, 0]), "does not fit"),
    (with_facts(blocks=[0, 10**9]), "does not fit"), (with_facts(blocks=[0, 2, 4]), "do not fit"),
    (with_facts(blocks=[0, True]), "does not fit"), (with_facts(blocks=5), "cannot be read"),
    (with_facts(text_tokens=3), "longer than it says"), (with_facts(text_tokens=10**12), "does not fit"),
    (with_facts(name="a" * 999), "its name"), (with_facts(name=7), "its name"),
    (with_facts(made_with={"resampler": 5}), "does not fit"), (with_facts(made_with=3), "cannot be read"),
]


@pytest.mark.parametrize(("change", "named"), CHANGES, ids=range(len(CHANGES)))
def test_a_strangers_card_is_one_sentence(change, named, plain, tmp_path):
    path = tmp_path / "card"
    write_card(path, plain)
    tensors, metadata = contents(path)
    change(tensors, metadata)
    rewritten(path, tensors, metadata)
    with pytest.raises(LumosXError, match=named) as caught:
        read_card(path)
    assert str(path) in str(caught.value) and len(str(caught.value)) < len(str(path)) + 400


def test_a_changed_number_or_word_is_noticed(plain, tmp_path):
    path = tmp_path / "card"
    write_card(path, plain)
    tensors, metadata = contents(path)
    tensors["tokens"][1, 2, 3] += 1e-6
    rewritten(path, tensors, metadata, honest=False)
    with pytest.raises(LumosXError, match="checksum"):
        read_card(path)
    tensors, metadata = contents(path)
    metadata["lumosx.lynx_facts"] = metadata["lumosx.lynx_facts"].replace("Zo", "Bo")
    rewritten(path, tensors, metadata, honest=False)
    with pytest.raises(LumosXError, match="checksum"):
        read_card(path)


def test_a_file_larger_than_any_card_is_not_read(plain, tmp_path):
    path = tmp_path / "card"
    write_card(path, plain)
    tensors, metadata = contents(path)
    rewritten(path, {**tensors, "extra": torch.zeros(card.LARGEST_CARD, dtype=torch.uint8)}, metadata, honest=False)
    with pytest.raises(LumosXError, match="larger than any"):
        read_card(path)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_one_sentence(data, plain, tmp_path):
    path = tmp_path / "card"
    write_card(path, plain)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.raises(LumosXError):
        read_card(path)


def test_other_weights_are_no_card(tmp_path):
    with pytest.raises(LumosXError, match="no identity card"):
        read_card(write(tmp_path / "file", block_names(adapter("lite"))))
    with pytest.raises(LumosXError, match="no such file"):
        read_card(tmp_path / "missing")


def test_an_empty_prompt_has_no_rows(plain, tmp_path):
    reference = ReferenceInputs.of(plain.reference.latents, torch.zeros(1, 7, 8))
    write_card(tmp_path / "card", replace(plain, reference=reference, projected=None))
    read = read_card(tmp_path / "card").reference
    assert read.padded_text().shape == (1, 7, 8) and len(read.text) == 0


def test_a_card_is_written_exactly_up_to_its_largest_size(plain, tmp_path, monkeypatch):
    write_card(tmp_path / "card", plain)
    size = (tmp_path / "card").stat().st_size
    monkeypatch.setattr(card, "LARGEST_CARD", size)
    write_card(tmp_path / "again", plain)
    assert read_card(tmp_path / "again").name == plain.name
    monkeypatch.setattr(card, "LARGEST_CARD", size - 1)
    with pytest.raises(LumosXError, match=f"^identity: it does not fit on an identity card .{size} bytes"):
        write_card(tmp_path / "third", plain)
    with pytest.raises(LumosXError, match="it is larger than any identity card"):
        read_card(tmp_path / "again")
    assert not (tmp_path / "third").exists()


@pytest.mark.parametrize("left_out", ["reference", "projected", "both"])
def test_a_card_may_lack_a_picture_or_keys_and_values(plain, tmp_path, left_out):
    """But not both, since nothing would act."""
    identity = replace(plain, **({} if left_out == "projected" else {"reference": None}),
                       **({} if left_out == "reference" else {"projected": None}))
    write_card(tmp_path / "card.safetensors", identity)
    read = read_card(tmp_path / "card.safetensors")
    assert (read.reference is None, read.projected is None) == (left_out != "projected", left_out != "reference")
    assert torch.equal(read.tokens, identity.tokens)

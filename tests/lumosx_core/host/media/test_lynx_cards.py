"""Identity cards beside the files that they were made with, and beside others."""

import folder_paths
import pytest
import torch
from safetensors.torch import load_file, save_file

from lumosx_core.errors import LumosXError
from lumosx_core.host.media.lynx_cards import load_card, save_card
from lumosx_core.host.weights import lynx
from lumosx_core.models.lynx.adapters import ID_LAYERS, REF_LAYERS, RESAMPLER, Adapters
from lumosx_core.models.lynx.card import read_card, write_card
from support.lynx_people import make_person, write_adapters


@pytest.fixture(scope="module")
def adapters(tmp_path_factory):
    return write_adapters(tmp_path_factory.mktemp("adapters"))


@pytest.fixture
def other(adapters, tmp_path):
    """other(part, change) has one part with changed numbers."""
    def changed(part, change):
        path = tmp_path / f"other_{part}.safetensors"
        save_file({name: change(tensor).contiguous() for name, tensor in load_file(adapters.files[part]).items()}, path)
        kept = [file for one, file in adapters.files.items() if one not in (part, RESAMPLER)]
        return Adapters.of_files([*kept, path])

    return changed


@pytest.fixture
def card(adapters, tmp_path, monkeypatch):
    """card(self_contained) is the name of a new card."""
    (tmp_path / "output").mkdir()
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    return lambda self_contained: save_card(make_person(adapters), "Eileen", True, self_contained)[0]


def doubled(tensor):
    return tensor * 2


@pytest.mark.parametrize("change", [doubled, torch.Tensor.half], ids=["other numbers", "another precision"])
def test_keys_and_values_of_other_id_layers_are_refused(card, adapters, other, change, caplog):
    name = card(True)
    assert load_card(name, adapters)[0].identity.projected is not None and "card: " not in caplog.text
    with pytest.raises(LumosXError, match="^lynx: its ID layers are not those that made the keys and values"):
        load_card(name, other(ID_LAYERS, change))


@pytest.mark.parametrize(("part", "named"), [(ID_LAYERS, "ID layers"), (REF_LAYERS, "reference layers")])
def test_tokens_and_a_picture_beside_other_layers_are_a_warning(card, adapters, other, part, named, caplog):
    name = card(False)
    assert "\n" not in load_card(name, adapters)[2] and "card: " not in caplog.text
    report = load_card(name, other(part, doubled))[2]
    for text in (report, caplog.text):
        assert f"card: it was made with other {named} than those at lynx" in text


def test_other_reference_layers_do_not_touch_keys_and_values(card, other):
    person, _, report = load_card(card(True), other(REF_LAYERS, doubled))
    assert person.identity.projected is not None and "card: it was made with other reference layers" in report


def test_a_card_that_does_not_say_what_made_it_is_taken_as_it_is(card, other, tmp_path, caplog):
    name = card(True)
    path = tmp_path / "output" / "lynx" / "Eileen.safetensors"
    identity = read_card(path)
    write_card(path, type(identity)(**{**vars(identity), "made_with": {}}))
    load_card(name, other(ID_LAYERS, doubled))
    assert "card: " not in caplog.text


def test_a_file_is_read_for_its_checksum_once_until_it_changes(adapters, other, monkeypatch):
    read, checksum = [], Adapters.checksum
    monkeypatch.setattr(Adapters, "checksum", lambda self, part, *given: read.append(part) or checksum(
        self, part, *given))
    lynx._checksum.cache_clear()
    first, again = (lynx.part_checksum(adapters, ID_LAYERS) for _ in range(2))
    changed = lynx.part_checksum(other(ID_LAYERS, doubled), ID_LAYERS)
    assert first == again == adapters.checksum(ID_LAYERS) != changed and len(read) == 3

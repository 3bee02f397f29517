"""Identity cards of Lynx in ComfyUI's output and input folders: listed, written and read."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path, PurePath

import folder_paths
import torch

from ...errors import LumosXError
from ...files import DEVICE_NAME
from ...models.lynx.adapters import ID_LAYERS, REF_LAYERS, RESAMPLER, Adapters, LynxPerson
from ...models.lynx.card import read_card, write_card
from ...models.lynx.identity import Identity
from ...untrusted import inside, shown
from ..conditioning.scene import log_warnings
from ..weights.checkpoints import state_of
from ..weights.lynx import part_checksum
from .frames import as_picture
from .lynx import for_card

FOLDER = "lynx"
_ENDING = ".safetensors"
_INPUT, _OUTPUT = "input", "output"
_WORDS = {ID_LAYERS: "ID layers", REF_LAYERS: "reference layers"}
_MOST_CARDS = 4096
_MOST_BYTES = 200
# What Windows allows in a name, which is less than the others do.
_NAME = re.compile(
    rf"(?!{DEVICE_NAME.pattern})" r"(?![\s.])[^<>:\"/\\|?*\x00-\x1f\x7f\ud800-\udfff]{1,100}(?<![\s.])", re.IGNORECASE
)


def list_cards() -> list[str]:
    """Names of the cards in ``input/lynx``, then those in ``output/lynx`` with ComfyUI's ``[output]`` behind."""
    return [*_cards(_INPUT), *(f"{name} [{_OUTPUT}]" for name in _cards(_OUTPUT))]


def card_path(name: str) -> Path:
    """The file of a card by its name in the list; it cannot lead out of the two folders.

    Raises:
        LumosXError: there is no such card.
    """
    text = name if isinstance(name, str) and "\0" not in name else ""
    place = _OUTPUT if text.endswith(f" [{_OUTPUT}]") else _INPUT
    plain = text.removesuffix(f" [{_OUTPUT}]")
    root, relative = _root(place), PurePath(plain)
    leaves = relative.anchor or ".." in relative.parts or not relative.parts
    path = None if leaves else inside(root, root / relative)
    if path is None or not path.is_file():
        raise LumosXError(
            f"card: ComfyUI's {place}/{FOLDER} has no card \"{shown(plain[:200])}\"; put it there and press R, or "
            "choose another."
        )
    return path


def card_fingerprint(name: str) -> str:
    """Changes whenever the card does; raises as ``card_path``."""
    return state_of(card_path(name))


def check_card_name(name: str) -> None:
    """Raises LumosXError for a name that cannot be a file's on every system."""
    if not _NAME.fullmatch(name.strip()) or len(name.encode()) > _MOST_BYTES:
        raise LumosXError(f"name: {shown(name[:60])!r} cannot be a file name; use letters, digits, - and _.")


def save_card(person: LynxPerson, name: str, replace: bool, self_contained: bool = True) -> tuple[str, str]:
    """Write a person's card into ``output/lynx``.

    Args:
        name: of the file, without its ending; a number is added where there is one already.
        replace: write over a card of that name instead.
        self_contained: with what the ID layers make of the person; otherwise they are needed to use the card. A person
            who came without ID layers keeps what there is.

    Returns:
        The name in ``list_cards``, and a report.

    Raises:
        LumosXError: a name that cannot be a file's, or what ``write_card`` and reading the adapters raise.
    """
    check_card_name(name)
    identity = for_card(person, self_contained)
    folder = _root(_OUTPUT)
    folder.mkdir(parents=True, exist_ok=True)
    numbered = itertools.chain([name.strip()], (f"{name.strip()}_{number}" for number in itertools.count(2)))
    path = next(path for path in (folder / f"{one}{_ENDING}" for one in numbered) if replace or not path.exists())
    write_card(path, identity)
    megabytes = path.stat().st_size / 1e6
    return f"{path.name} [{_OUTPUT}]", f"Saved in {path} ({megabytes:.1f} MB)\n{describe(identity)}"


def load_card(name: str, adapters: Adapters | None) -> tuple[LynxPerson, torch.Tensor, str]:
    """A person from a card, with the picture on it [1, H, W, 3] and a report.

    Args:
        name: as ``list_cards`` gives it.
        adapters: for what is not on the card; None without any.

    Raises:
        LumosXError: no such card, a damaged one, adapters of another kind, or ID layers other than those that made the
            keys and values on the card.
    """
    identity = read_card(card_path(name))
    adapters = adapters or Adapters()
    warnings = _check_adapters(identity, adapters)
    log_warnings(warnings)
    # The resampler has done its work; with the adapters of another kind it would only confuse.
    kept = {part: path for part, path in adapters.files.items() if part != RESAMPLER}
    person = LynxPerson(identity, Adapters(kept, {part: adapters.sizes[part] for part in kept}))
    return person, as_picture(identity.preview.numpy()), "\n".join([describe(identity), *warnings])


def describe(identity: Identity) -> str:
    """What is on a card, as text."""
    parts = [f"{identity.kind} identity of {identity.tokens.shape[1]} tokens"]
    if identity.projected is not None:
        parts.append("keys and values for the ID layers")
    if identity.reference is not None:
        parts.append("the picture for the reference layers")
    return f"{identity.name or 'no name'}: {', '.join(parts)}"


def _check_adapters(identity: Identity, adapters: Adapters) -> list[str]:
    """What a user should know of a card and the files beside it; raises as ``load_card``."""
    # A card with keys and values of its own needs no ID layers.
    needed = adapters.layers(ID_LAYERS) if identity.projected is None else None
    if needed is not None and (identity.kind, identity.tokens.shape[2]) != (needed.kind, needed.input_width):
        raise LumosXError(
            f"lynx: the card is for {identity.kind} ID layers, but the files hold {needed.kind} ones; choose those "
            "that the card was made with."
        )
    warnings, others = [], _other_adapters(identity, adapters)
    if ID_LAYERS in others and identity.projected is not None:
        raise LumosXError(
            "lynx: its ID layers are not those that made the keys and values on the card, or are the same in another "
            "precision, and would have no effect; choose no file with ID layers, or the one that the card was made "
            "with."
        )
    if others:
        named = " and ".join(_WORDS[part] for part in others)
        warnings.append(
            f"card: it was made with other {named} than those at lynx, or with the same in another precision; if the "
            "face differs from earlier videos, choose the files that the card was made with."
        )
    if identity.reference is not None and REF_LAYERS not in adapters:
        warnings.append(
            "card: it has a picture for the reference layers, which have no effect, since none are linked at lynx; "
            "link LumosX Lynx Loader with their file, or go on with the ID layers alone."
        )
    return warnings


def _other_adapters(identity: Identity, adapters: Adapters) -> list[str]:
    """Parts whose numbers are not those that the card was made with; a card may not say with which."""
    parts = (ID_LAYERS, *((REF_LAYERS,) if identity.reference is not None else ()))
    return [
        part for part in parts
        if part in adapters and part in identity.made_with
        and part_checksum(adapters, part) != identity.made_with[part]
    ]


def _cards(place: str) -> list[str]:
    root = _root(place)
    try:
        with os.scandir(root) as entries:
            names = [entry.name for entry in itertools.islice(entries, _MOST_CARDS)]
    except OSError:
        return []
    return sorted(name for name in names if name.endswith(_ENDING) and not name.startswith("."))


def _root(place: str) -> Path:
    get = folder_paths.get_output_directory if place == _OUTPUT else folder_paths.get_input_directory
    return Path(get()).resolve() / FOLDER

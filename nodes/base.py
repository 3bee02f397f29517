"""The class behind every node of the pack: it holds widget values against the node's own schema.

The hosts differ in what they check. 0.3.75 does not look at the choices of a combo, no host looks at NaN, at half
characters, or at any value that comes by a link, and what ``validate_inputs`` names is checked by nobody else.
"""

import asyncio
import functools
import math
from numbers import Real

import numpy as np
import torch
from comfy_api.latest import io

from ..lumosx_core.errors import LumosXError
from ..lumosx_core.models.lynx.adapters import Adapters, LynxPerson
from ..lumosx_core.scene.asking import Question
from ..lumosx_core.scene.relations import Reference, Scene, Subject

_LONGEST_NAME = 255
_LONGEST_PATH = 4096
_SHOWN = 60
# Python refuses to write thousands of digits.
_LARGEST_SHOWN = 10**_SHOWN
_NUMBERS = (io.Int.Input, io.Float.Input)
# What a link of each type carries. Behind nodes that pass on anything (switches, Set and Get) it can be something else.
_CARRIED = {
    "MODEL": lambda value: hasattr(value, "get_model_object"),
    "CLIP": lambda value: hasattr(value, "tokenize"),
    "VAE": lambda value: hasattr(value, "encode") and hasattr(value, "decode"),
    "CONDITIONING": lambda value: isinstance(value, list | tuple) and all(map(_is_conditioning, value)),
    "LATENT": lambda value: isinstance(value, dict),
    "IMAGE": torch.is_tensor,
    "MASK": torch.is_tensor,
    "LUMOSX_SUBJECT": lambda value: isinstance(value, Subject),
    "LUMOSX_REFERENCES": lambda value: isinstance(value, tuple) and all(isinstance(one, Reference) for one in value),
    "LUMOSX_BACKGROUND": lambda value: isinstance(value, Reference),
    "LUMOSX_RELATIONS": lambda value: isinstance(value, Scene),
    "LUMOSX_QUESTION": lambda value: isinstance(value, Question),
    "LUMOSX_LYNX": lambda value: isinstance(value, Adapters),
    "LUMOSX_LYNX_IDENTITY": lambda value: isinstance(value, LynxPerson),
}


class Node(io.ComfyNode):
    """A node whose ``execute`` sees only values that its schema allows; anything else is one sentence.

    Attributes:
        FILES: combos whose list is only a view of a folder. Their values may be newer than the list, so ``execute``
            looks the names up.
        LISTS: of a node with ``is_input_list``, the inputs that ``execute`` gets as lists, whatever number of items
            comes by the link. Every other input takes one value.
        LEFT_OUT: required inputs that may be None; see ``host.page.left_out``.
    """

    FILES: frozenset[str] = frozenset()
    LISTS: frozenset[str] = frozenset()
    LEFT_OUT: frozenset[str] = frozenset()

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        own = vars(cls).get("execute")
        # The host copies the class for every run, with an execute that is checked already.
        if own is not None and not hasattr(own.__func__, "__wrapped__"):
            cls.execute = classmethod(_checked(own.__func__))

    @classmethod
    def verdict(cls, check=None, **values):
        """What ``validate_inputs`` answers: True, or one sentence.

        Args:
            check: called with the values in their order once the schema allows each of them; raises LumosXError.
            values: what was queued. None stands for a value that comes by a link and is known only when the node runs.
        """
        widgets = _widgets(cls)
        try:
            values = _without_lists(cls, values)
        except LumosXError as error:
            return str(error)
        known = {name: value for name, value in values.items() if value is not None}
        numbers = [value for name, value in known.items() if isinstance(widgets[name], _NUMBERS)]
        if not all(isinstance(value, int | float) for value in numbers):
            # The host says so itself, and names the input; to NaN it says nothing.
            return True
        try:
            _check(cls, known)
            if check is not None:
                check(*values.values())
        except LumosXError as error:
            return str(error)
        return True

    @classmethod
    async def verdict_aside(cls, check=None, **values):
        """The same for a check that reads files or imports packages.

        ComfyUI asks on the loop that answers every page, so the check runs in a thread of its own.
        """
        return await asyncio.to_thread(cls.verdict, check, **values)


def when_known(check):
    """A check for ``Node.verdict`` that waits until the node runs if one of its values comes by a link."""
    def checked(*values):
        if None not in values:
            check(*values)

    return checked


def _checked(execute):
    @functools.wraps(execute)
    def checked(cls, *arguments, **values):
        values = _without_lists(cls, values)
        _check(cls, values)
        _check_links(cls, values)
        return execute(cls, *arguments, **_in_whole(cls, values))

    return checked


def _schema(cls) -> io.Schema:
    # Building it again would list the folders of models again.
    return cls.SCHEMA or cls.GET_SCHEMA()


def _inputs(cls) -> list:
    return _schema(cls).inputs


def _without_lists(cls, values: dict) -> dict:
    """The values of a node that the host gives lists, as ``Node.LISTS`` says; of other nodes as they are.

    Raises:
        LumosXError: several values for an input that takes one.
    """
    if not _schema(cls).is_input_list:
        return values
    single = {}
    for name, value in values.items():
        if name in cls.LISTS or not isinstance(value, list | tuple):
            single[name] = value
        elif len(value) > 1:
            raise LumosXError(f"{name}: {len(value)} values came through the link, but this input takes one; link one.")
        else:
            single[name] = value[0] if value else None
    return single


def _each(cls, name: str, value) -> list | tuple:
    """The items that came for an input, one where it takes no lists."""
    return value if name in cls.LISTS and isinstance(value, list | tuple) else (value,)


def _widgets(cls) -> dict:
    return {widget.id: widget for widget in _inputs(cls) if isinstance(widget, io.WidgetInput)}


def _in_whole(cls, values: dict) -> dict:
    """Whole numbers that came by a link as fractions (81.0), as the node takes them."""
    whole = {name for name, widget in _widgets(cls).items() if isinstance(widget, io.Int.Input)}
    return {name: int(value) if name in whole else value for name, value in values.items()}


def _check_links(cls, values: dict) -> None:
    for socket in _inputs(cls):
        carries = _CARRIED.get(socket.get_io_type())
        may_lack = socket.optional or socket.id in cls.LEFT_OUT
        if carries is None or socket.id not in values or may_lack and values[socket.id] is None:
            continue
        value = values[socket.id]
        wrong = [one for one in _each(cls, socket.id, value) if not carries(one)]
        if wrong:
            raise LumosXError(
                f"{socket.id}: {type(wrong[0]).__name__} came through the link instead of {socket.get_io_type()}; "
                "check the node that is linked here (a switch or a Get node may pass on nothing, or something else)."
            )


def _is_conditioning(entry) -> bool:
    if not isinstance(entry, list | tuple) or len(entry) != 2:
        return False
    return torch.is_tensor(entry[0]) and isinstance(entry[1], dict)


def _check(cls, values: dict) -> None:
    widgets = _widgets(cls)
    pairs = [(name, one) for name, item in values.items() for one in _each(cls, name, item)]
    for name, value in pairs:
        widget = widgets.get(name)
        if isinstance(widget, io.Combo.Input):
            _check_choice(widget, value, name in cls.FILES)
        elif isinstance(widget, io.String.Input):
            _check_text(name, value)
        elif isinstance(widget, io.Boolean.Input) and not isinstance(value, Real | np.bool_):
            raise LumosXError(f"{name}: {_shown(value)} is neither true nor false; use one of them.")
        elif isinstance(widget, _NUMBERS):
            _check_number(widget, value)


def _check_choice(widget: io.Combo.Input, value, is_file: bool) -> None:
    if is_file:
        _check_text(widget.id, value)
        _check_path(widget.id, value)
    elif not isinstance(value, str) or value not in widget.options:
        choices = ", ".join(map(str, widget.options))
        raise LumosXError(f"{widget.id}: {_shown(value)} is not a choice; choose one of {choices}.")


def _check_text(name: str, value) -> None:
    if not isinstance(value, str):
        raise LumosXError(f"{name}: {_shown(value)} is not text; link or type text.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise LumosXError(
            f"{name}: character {error.start + 1} is only half of a character (U+{ord(value[error.start]):04X}); type "
            "that character again."
        ) from None


def _check_path(name: str, value: str) -> None:
    longest = max(len(part.encode()) for part in value.replace("\\", "/").split("/"))
    if longest > _LONGEST_NAME or len(value.encode()) > _LONGEST_PATH or "\0" in value:
        raise LumosXError(f"{name}: {_shown(value)} cannot be a file name; choose one from the list.")


def _check_number(widget: io.Int.Input | io.Float.Input, value) -> None:
    whole = isinstance(widget, io.Int.Input)
    if not _is_number(value) or whole and int(value) != value:
        raise LumosXError(f"{widget.id}: {_shown(value)} is not a {'whole ' if whole else ''}number; use one.")
    low = -math.inf if widget.min is None else widget.min
    high = math.inf if widget.max is None else widget.max
    if not low <= value <= high:
        nearest = min(max(value, low), high)
        raise LumosXError(f"{widget.id}: {_shown(value)} must be from {low} to {high}; use {nearest}.")


def _is_number(value) -> bool:
    # Other nodes send numbers of numpy, and Python cannot turn very large whole numbers into floats.
    return isinstance(value, int) or isinstance(value, Real) and math.isfinite(value)


def _shown(value) -> str:
    if isinstance(value, int) and abs(value) > _LARGEST_SHOWN:
        return "a very long number"
    text = ascii(value) if not isinstance(value, str) or not value.isprintable() else f'"{value}"'
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

"""Read a pickle without executing it.

Nothing is imported: a global stays its name, and what stands for a call is up to the reader's owner. So nothing in such
a file can run, and, unlike with an unpickler of C, no length or memo index is believed before its bytes are seen.
The opcodes are those of Python's ``pickletools``; only the ones that torch uses are understood.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

PERSISTENT = "persistent"
"""The name under which a persistent id counts as a call; no global is called so, since those have a module."""

_PLAIN_DICT = "collections.OrderedDict"


class Damaged(ValueError):
    """The bytes are not such a pickle."""


class Foreign(ValueError):
    """The pickle needs a global that is not on the list; the message is its name."""


class GlobalName(str):
    """A global that the pickle mentions, as ``module.name``."""


@dataclass(eq=False, slots=True)
class PickledObject:
    """What a call would have made: its name, its arguments, and the state that would have been set on it."""

    name: str
    arguments: tuple
    state: object


# A tuple may hold a million tuples, and hashing it would overrun the stack of C.
_KEYS = (str, int, float, bool, type(None), GlobalName, PickledObject)


Kind = TypeVar("Kind")

Call = Callable[[str, tuple], object]
"""What stands for the call of a global with these arguments, or of PERSISTENT; it raises Foreign or Damaged."""


def read_records(data: bytes, mentioned: Callable[[str], bool], call: Call, most_steps: int) -> object:
    """The object that a pickle describes, out of plain containers, numbers, text, Names and what ``call`` returns.

    Args:
        data: the pickle, protocol 2 or later.
        mentioned: whether a global ``module.name`` may occur at all.
        call: see Call; an OrderedDict becomes a dict without asking it.
        most_steps: opcodes to follow before giving up; a million take about a second.

    Raises:
        Damaged: broken, too long, or with opcodes or numbers that torch does not write.
        Foreign: it names or calls something else.
    """
    machine = _Machine(mentioned, call)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            step = getattr(machine, f"_do_{opcode.name.lower()}", None)
            if step is None or count > most_steps:
                raise Damaged(opcode.name)
            step(argument)
        return machine.pop()
    except (Foreign, Damaged):
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise Damaged(type(error).__name__) from error


class _Machine:
    """The stack and the memo of a pickle; each ``_do_`` method is one opcode, with its argument."""

    def __init__(self, mentioned: Callable[[str], bool], call: Call) -> None:
        self._mentioned = mentioned
        self._call = call
        self._stack: list = []
        self._below: list[list] = []
        self._memo: dict[int, object] = {}

    def pop(self, kind: type[Kind] = object) -> Kind:
        top = self._top(kind)
        self._stack.pop()
        return top

    def _top(self, kind: type[Kind]) -> Kind:
        if not isinstance(self._stack[-1], kind):
            raise Damaged("kind")
        return self._stack[-1]

    def _pop_to_mark(self) -> list:
        values, self._stack = self._stack, self._below.pop()
        return values

    def _push(self, value: object) -> None:
        self._stack.append(value)

    _do_binint = _do_binint1 = _do_binint2 = _do_binfloat = _push
    _do_short_binunicode = _do_binunicode = _do_binunicode8 = _do_short_binstring = _push

    def _do_long1(self, number: int) -> None:
        # Longer numbers can be made to share one hash, so that a dict of them takes for ever.
        if number.bit_length() > 64:
            raise Damaged("number")
        self._push(number)

    def _pass_over(self, _argument: object) -> None:
        """Protocol and frames change nothing; after STOP the loop ends by itself."""

    _do_proto = _do_frame = _do_stop = _pass_over

    def _do_none(self, _argument: None) -> None:
        self._push(None)

    def _do_newtrue(self, _argument: None) -> None:
        self._push(True)

    def _do_newfalse(self, _argument: None) -> None:
        self._push(False)

    def _do_empty_dict(self, _argument: None) -> None:
        self._push({})

    def _do_empty_list(self, _argument: None) -> None:
        self._push([])

    def _do_empty_tuple(self, _argument: None) -> None:
        self._push(())

    def _do_mark(self, _argument: None) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _do_tuple(self, _argument: None) -> None:
        values = tuple(self._pop_to_mark())
        self._push(values)

    def _do_tuple1(self, _argument: None) -> None:
        self._push((self.pop(),))

    def _do_tuple2(self, _argument: None) -> None:
        second, first = self.pop(), self.pop()
        self._push((first, second))

    def _do_tuple3(self, _argument: None) -> None:
        third, second, first = self.pop(), self.pop(), self.pop()
        self._push((first, second, third))

    def _do_append(self, _argument: None) -> None:
        value = self.pop()
        self._top(list).append(value)

    def _do_appends(self, _argument: None) -> None:
        values = self._pop_to_mark()
        self._top(list).extend(values)

    def _do_setitem(self, _argument: None) -> None:
        value, key = self.pop(), self.pop()
        if not isinstance(key, _KEYS):
            raise Damaged("kind")
        self._top(dict)[key] = value

    def _do_setitems(self, _argument: None) -> None:
        values = self._pop_to_mark()
        if len(values) % 2 or not all(isinstance(key, _KEYS) for key in values[::2]):
            raise Damaged("items")
        self._top(dict).update(zip(values[::2], values[1::2]))

    def _do_memoize(self, _argument: None) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _do_binput(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    _do_long_binput = _do_binput

    def _do_binget(self, index: int) -> None:
        self._push(self._memo[index])

    _do_long_binget = _do_binget

    def _do_global(self, names: str) -> None:
        self._mention(names.replace(" ", ".", 1))

    def _do_stack_global(self, _argument: None) -> None:
        name, module = self.pop(str), self.pop(str)
        self._mention(f"{module}.{name}")

    def _mention(self, name: str) -> None:
        if not self._mentioned(name):
            raise Foreign(name)
        self._push(GlobalName(name))

    def _do_reduce(self, _argument: None) -> None:
        arguments, name = self.pop(tuple), self.pop(GlobalName)
        if name != _PLAIN_DICT:
            self._push(self._call(name, arguments))
        elif arguments:
            raise Damaged(name)
        else:
            self._push({})

    _do_newobj = _do_reduce

    def _do_binpersid(self, _argument: None) -> None:
        self._push(self._call(PERSISTENT, (self.pop(),)))

    def _do_build(self, _argument: None) -> None:
        state = self.pop()
        # The only state that torch sets on a dict is a module's table of versions.
        if not isinstance(self._stack[-1], dict):
            self._top(PickledObject).state = state

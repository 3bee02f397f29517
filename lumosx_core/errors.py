"""The one error that users are meant to read."""


def shown(text: str) -> str:
    """Text of any origin as it may stand in a message or a log: one line, and letters that can be shown."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class LumosXError(ValueError):
    """A wrong input. The message is one sentence: which input, what is wrong, what to do.

    It goes to terminals and logs, so letters that would do something there are replaced.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))

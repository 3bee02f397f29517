"""The one error that users are meant to read."""


class LumosXError(ValueError):
    """A wrong input. The message is one sentence: which input, what is wrong, what to do."""

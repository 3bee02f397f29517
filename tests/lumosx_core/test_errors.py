"""What messages may hold."""

import pytest

from lumosx_core.errors import LumosXError
from lumosx_core.runner.journal import Stop
from lumosx_core.runner.protocol import Refused


@pytest.mark.parametrize("kind", [LumosXError, Refused, Stop])
def test_no_message_does_anything_to_a_terminal_or_a_log(kind):
    assert str(kind("case: a\nb\x1b]0;x\x07\u202e\udce9 白色 …")) == "case: a?b?]0;x??? 白色 …"

"""Search finds the node that a word of a newcomer is about, on pages with and without search aliases."""

import re

import pytest


@pytest.mark.parametrize(("words", "node"), [
    ("person", "Subject"), ("character", "Subject"), ("outfit", "Subject"), ("clothes", "Subject"),
    ("outfit", "Object"), ("clothes", "Object"), ("multi person", "Binder"), ("consistency", "Relational Encode"),
    ("lumosx subject", "Subject"),
])
def test_a_word_finds_its_node(classic, words, node):
    found = classic.page.get_by_text(re.compile(f"LumosX {node}"))
    assert found.count() == 0
    classic.run("() => { app.extensionManager.command.execute('Workspace.SearchBox.Toggle'); }")
    classic.page.locator("input[role=combobox]").fill(words)
    found.first.wait_for(timeout=10_000)

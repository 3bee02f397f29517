"""ComfyUI asks validate_inputs on the loop that answers every page: what reads or imports happens elsewhere."""

import asyncio
import importlib
import threading

import pytest


@pytest.mark.parametrize(
    ("module", "node", "check", "values"),
    [
        ("loader", "LumosXModelLoader", "check_model", {"model_name": "a.safetensors"}),
        ("attention", "LumosXAttention", "check_attention", {"backend": "auto"}),
        ("case", "LumosXLoadCase", "case_fingerprint", {"case": "a"}),
    ],
)
def test_files_are_looked_at_in_another_thread(pack, monkeypatch, module, node, check, values):
    nodes = importlib.import_module(f"{pack}.nodes.{module}")
    error = importlib.import_module(f"{pack}.lumosx_core.errors").LumosXError
    seen = []

    def looked(*given):
        seen.append((threading.get_ident(), given))
        raise error("no")

    monkeypatch.setattr(nodes, check, looked)
    assert asyncio.run(getattr(nodes, node).validate_inputs(**values)) == "no"
    assert [given for _, given in seen] == [tuple(values.values())]
    assert seen[0][0] != threading.get_ident()

"""PolyVivid adapters as files."""

import tempfile
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file

from lumosx_core.models.polyvivid.checkpoint import read_adapter
from lumosx_core.weights.opening import open_weights


def read_tensors(tensors, metadata=None):
    """The StoredAdapter that comes of writing tensors to a file under their names and reading it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "adapter.safetensors")
        save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path, metadata)
        with open_weights(path) as source:
            stored = read_adapter(source)
            # Tensors that are mapped from the file would hold it.
            return replace(stored, tensors={name: tensor.clone() for name, tensor in stored.tensors.items()})

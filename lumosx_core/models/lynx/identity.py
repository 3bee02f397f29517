"""One person as the adapters know them, apart from any transformer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from ...errors import LumosXError
from .attention import KeysValues
from .folding import project_identities
from .layers import LayerReader
from .resampler import Resampler
from .sizes import AdapterKind

PERSON, NOBODY = 0, 1
"""Rows of everything in an identity: guidance needs a person and the absence of one."""


@dataclass(frozen=True)
class ReferenceInputs:
    """What the reference pass needs.

    Attributes:
        latents: float32 [2, 16, 1, height, width], normalised: the person's crop, and a grey picture.
        text: float32 [tokens, width], the encoded prompt of the reference pass without the zero rows at its end.
        text_tokens: how many tokens it has with them.
    """

    latents: torch.Tensor
    text: torch.Tensor
    text_tokens: int

    @classmethod
    def of(cls, latents: torch.Tensor, text: torch.Tensor) -> ReferenceInputs:
        """Latents as above, and the encoder's output [1, tokens, width]."""
        used = text[0].abs().amax(dim=1).nonzero()
        end = int(used.max()) + 1 if len(used) else 0
        return cls(latents.float().cpu(), text[0, :end].float().cpu(), text.shape[1])

    def padded_text(self) -> torch.Tensor:
        """[1, text_tokens, width], as the encoder gave it."""
        return F.pad(self.text, (0, 0, 0, self.text_tokens - len(self.text)))[None]


@dataclass(frozen=True)
class Identity:
    """A person.

    Attributes:
        kind: of the ID layers that the tokens are for.
        tokens: float32 [2, queries, token width], from ``identity_tokens``.
        preview: uint8 RGB [height, width, 3], to be recognised by people.
        name: what a user calls them.
        reference: for the reference adapter; None without it.
        projected: block to keys before their norm and values [2, queries + registers, width]; with them the ID layers
            and the resampler are not needed any more. None if they were not made.
        made_with: ``resampler``, ``id_layers``, ``ref_layers`` to the ``adapter_checksum`` of what was used.
    """

    kind: AdapterKind
    tokens: torch.Tensor
    preview: torch.Tensor
    name: str = ""
    reference: ReferenceInputs | None = None
    projected: Mapping[int, KeysValues] | None = None
    made_with: Mapping[str, str] = field(default_factory=dict)


def identity_tokens(resampler: Resampler, embedding: torch.Tensor) -> torch.Tensor:
    """[2, queries, token width]: tokens of the person of an embedding [512] of unit length, and those of nobody."""
    return torch.cat([resampler(embedding[None]), resampler.null_tokens()])


def projected_identity(
    identity: Identity, reader: LayerReader | None, device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Iterable[tuple[int, KeysValues]]:
    """Block by block keys before their norm and values: those that the identity holds, else from the ID layers.

    Args:
        reader: of ID layers; None without any.
        device: to compute on, and of what comes out.
        dtype: of what comes out.

    Raises:
        LumosXError: the identity holds none and there are no ID layers, or they are of another kind.
    """
    if identity.projected is not None:
        return _converted(identity.projected.items(), device, dtype)
    if reader is None:
        raise LumosXError(
            f"identity: it holds no keys and values, so the {identity.kind} ID layers are needed; choose their file in "
            "the Lynx loader."
        )
    if (identity.kind, identity.tokens.shape[2]) != (reader.sizes.kind, reader.sizes.input_width):
        raise LumosXError(
            f"identity: its tokens are {identity.kind} ones of {identity.tokens.shape[2]} channels, but the ID layers "
            f"({reader.sizes.kind}) take {reader.sizes.input_width}; choose ID layers of the same kind."
        )
    # In float32 as those on a card, so that both give the same.
    return _converted(project_identities(reader, identity.tokens, device), device, dtype)


def _converted(
    projected: Iterable[tuple[int, KeysValues]], device: torch.device | str, dtype: torch.dtype
) -> Iterator[tuple[int, KeysValues]]:
    return (
        (block, KeysValues(pair.keys.to(device, dtype), pair.values.to(device, dtype))) for block, pair in projected
    )

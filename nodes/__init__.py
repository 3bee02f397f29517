"""The nodes: schema, tooltips and one call each."""

from comfy_api.latest import ComfyExtension, io

from .attention import LumosXAttention
from .binder import LumosXBinder
from .case import LumosXLoadCase
from .convert import LumosXConvertWeights
from .encode import LumosXRelationalEncode
from .loader import LumosXModelLoader
from .model import LumosXModel
from .references import LumosXBackground, LumosXObject, LumosXSubject
from .sampler import LumosXSampler, LumosXSchedule
from .tiny import LumosXTinyModels


class LumosXExtension(ComfyExtension):
    """What ComfyUI asks for the nodes of this pack."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            LumosXSubject,
            LumosXObject,
            LumosXBackground,
            LumosXLoadCase,
            LumosXBinder,
            LumosXRelationalEncode,
            LumosXModel,
            LumosXSampler,
            LumosXSchedule,
            LumosXTinyModels,
            LumosXModelLoader,
            LumosXConvertWeights,
            LumosXAttention,
        ]


async def comfy_entrypoint() -> LumosXExtension:
    """Called once by ComfyUI when it loads the pack."""
    return LumosXExtension()

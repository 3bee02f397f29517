"""The nodes: schema, tooltips and one call each."""

from pathlib import Path

from comfy_api.latest import ComfyExtension, io

from ..lumosx_core.host.media.cases import tidy_saved_cases
from ..lumosx_core.host.media.demo_pictures import place_demo_pictures
from ..lumosx_core.host.media.people import tidy_people
from ..lumosx_core.host.page import left_out
from ..lumosx_core.host.page.folder_name import check_folder_name
from ..lumosx_core.host.page.people_routes import register_people
from ..lumosx_core.host.page.routes import register
from .asking import LumosXAsk, LumosXReadAnswer
from .attention import LumosXAttention
from .attribute_scores import LumosXAttributeScore, LumosXMotionScore
from .binder import LumosXBinder
from .case import LumosXLoadCase, LumosXSaveCase
from .choosing import LumosXBestOf
from .continuing import LumosXContinue, LumosXJoinClips
from .convert import LumosXConvertWeights
from .cutout import LumosXCutOut
from .encode import LumosXRelationalEncode
from .faces import LumosXFaceCrop
from .loader import LumosXModelLoader
from .lynx import (
    LumosXLoadLynxIdentity,
    LumosXLynx,
    LumosXLynxGuidance,
    LumosXLynxIdentity,
    LumosXLynxLoader,
    LumosXSaveLynxIdentity,
)
from .model import LumosXModel
from .negative import LumosXNegativeAtCfg1
from .people import LumosXLoadPerson, LumosXSavePerson
from .polyvivid import LumosXHunyuanCustom, LumosXPolyVivid, LumosXPolyVividEncode
from .references import LumosXBackground, LumosXObject, LumosXSubject
from .repair import LumosXFaceRepair
from .sampler import LumosXSampler, LumosXSchedule
from .scores import LumosXIdentityScore
from .seeing import LumosXRelationMap, LumosXWhoIsWho
from .subjects import LumosXClipSubjects, LumosXSegmentationGate
from .text_encoder import LumosXTextEncoderLoader
from .tiny import LumosXTinyHunyuan, LumosXTinyModels
from .views import LumosXViews


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
            LumosXFaceCrop,
            LumosXCutOut,
            LumosXViews,
            LumosXSaveCase,
            LumosXIdentityScore,
            LumosXAttributeScore,
            LumosXMotionScore,
            LumosXTextEncoderLoader,
            LumosXSegmentationGate,
            LumosXClipSubjects,
            LumosXPolyVividEncode,
            LumosXPolyVivid,
            LumosXHunyuanCustom,
            LumosXLynxLoader,
            LumosXLynxIdentity,
            LumosXLynx,
            LumosXLynxGuidance,
            LumosXSaveLynxIdentity,
            LumosXLoadLynxIdentity,
            LumosXTinyHunyuan,
            LumosXSavePerson,
            LumosXLoadPerson,
            LumosXNegativeAtCfg1,
            LumosXRelationMap,
            LumosXAsk,
            LumosXReadAnswer,
            LumosXFaceRepair,
            LumosXContinue,
            LumosXJoinClips,
            LumosXBestOf,
            LumosXWhoIsWho,
        ]


async def comfy_entrypoint() -> LumosXExtension:
    """Called once by ComfyUI when it loads the pack."""
    register()
    register_people()
    left_out.register()
    tidy_saved_cases()
    tidy_people()
    place_demo_pictures()
    pack = Path(__file__).parents[1]
    await check_folder_name(pack.name, str(pack / "web"))
    return LumosXExtension()

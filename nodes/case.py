"""The nodes that read and write case folders."""

from comfy_api.latest import io, ui

from ..lumosx_core.host.media.cases import (
    BUILT_IN,
    FULL_BODIES,
    LEAVE_OUT,
    case_fingerprint,
    check_case_names,
    list_cases,
    read_case,
    write_case,
)
from .base import Node
from .sockets import SCENE, RelationsSocket, aliases


class LumosXLoadCase(Node):
    """A folder of the release's format as RELATIONS and prompt."""

    FILES = frozenset({"case"})

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_LoadCase",
            display_name="LumosX Load Case",
            category=SCENE,
            **aliases("load references", "import case", "dataset", "test case", "folder"),
            description="Reads a test case in the format of the LumosX release: caption.txt (name;prompt), "
            "subjects/1/face_<phrase>.png, subjects/1/<phrase>.png, objects/<phrase>.png, background/<phrase>.png.",
            inputs=[
                io.Combo.Input(
                    "case", options=list_cases(), default=BUILT_IN,
                    tooltip="A folder with a caption.txt under ComfyUI's input folder, or under its output folder "
                    "(marked [output]), up to three levels deep; or one of the two drawn cases that come with the "
                    "pack; scores find faces in [LumosX portraits] only. Files are taken in natural order, faces "
                    "first, unless a lumosx.json says otherwise.",
                ),
                io.Combo.Input(
                    "full_body", options=list(FULL_BODIES), default=LEAVE_OUT, optional=True,
                    tooltip="Pictures of whole people (fullbody_<phrase>.png): left out, as in the release, or used "
                    "as references of their own with these words. A case written by LumosX Save Case always loads "
                    "the full bodies that it was saved with.",
                ),
            ],
            outputs=[
                RelationsSocket.Output(display_name="relations", tooltip="The scene, for LumosX Relational Encode."),
                io.String.Output(display_name="prompt", tooltip="The prompt of caption.txt; it contains every phrase."),
                io.String.Output(display_name="name", tooltip="The name of the case, for a file name."),
                io.String.Output(display_name="report", tooltip="Who is who, what was left out, and warnings."),
            ],
        )

    @classmethod
    async def validate_inputs(cls, case=None, full_body=None):
        return await cls.verdict_aside(cls.fingerprint_inputs, case=case, full_body=full_body)

    @classmethod
    def fingerprint_inputs(cls, case=None, full_body=LEAVE_OUT):
        # A linked name is known only when the node runs.
        return "" if case is None else case_fingerprint(case)

    @classmethod
    def execute(cls, case, full_body=LEAVE_OUT) -> io.NodeOutput:
        return io.NodeOutput(*read_case(case, full_body))


class LumosXSaveCase(Node):
    """RELATIONS and prompt as a case folder."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_SaveCase",
            display_name="LumosX Save Case",
            category=SCENE,
            **aliases("export case", "save references", "dataset", "folder"),
            description="Writes a scene and its prompt to ComfyUI's output folder, as a case folder of the LumosX "
            "release with a lumosx.json for what that format cannot express. LumosX Load Case reads exactly the same "
            "scene back; press R first, so that it lists the new folder.",
            inputs=[
                RelationsSocket.Input("relations", tooltip="The scene, from LumosX Binder or LumosX Load Case."),
                io.String.Input(
                    "prompt", default="", multiline=True, tooltip="The prompt; it must contain every phrase."
                ),
                io.String.Input(
                    "name", default="case", tooltip="The name of the case in caption.txt; it must not contain \";\"."
                ),
                io.String.Input(
                    "folder", default="lumosx_cases/case",
                    tooltip="The folder to create in ComfyUI's output folder, at most three levels deep. A number is "
                    "added (case_00001), unless replace is on.",
                ),
                io.Boolean.Input(
                    "replace", default=False, optional=True,
                    tooltip="Writes exactly the folder named above, without a number. An existing case there is "
                    "removed once the new one is complete; a folder that holds anything else is never touched.",
                ),
            ],
            outputs=[
                # LumosX Load Case takes it as it takes a choice from its own list.
                io.Custom("COMBO").Output(
                    display_name="saved_in", tooltip="The new folder, for the case of LumosX Load Case."
                ),
                io.String.Output(display_name="report", tooltip="Where the case was written, and what it contains."),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, name=None, folder=None):
        return cls.verdict(check_case_names, name=name, folder=folder)

    @classmethod
    def execute(cls, relations, prompt, name, folder, replace=False) -> io.NodeOutput:
        saved_in, report = write_case(relations, prompt, name, folder, replace)
        return io.NodeOutput(saved_in, report, ui=ui.PreviewText(report))

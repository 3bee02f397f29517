"""The node that reads a case folder."""

from comfy_api.latest import io

from ..lumosx_core.host.folders import BUILT_IN, case_fingerprint, list_cases, read_case
from .sockets import CATEGORY, RelationsSocket, verdict


class LumosXLoadCase(io.ComfyNode):
    """A folder of the release's format as RELATIONS and prompt."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_LoadCase",
            display_name="LumosX Load Case",
            category=CATEGORY,
            description="Reads a test case in the format of the LumosX release: caption.txt (name;prompt), "
            "subjects/1/face_<phrase>.png, subjects/1/<phrase>.png, objects/<phrase>.png, background/<phrase>.png.",
            inputs=[
                io.Combo.Input(
                    "case", options=list_cases(), default=BUILT_IN,
                    tooltip="A folder with a caption.txt under ComfyUI's input folder (up to three levels deep), or "
                    "the drawn case that comes with the pack. Files are taken in natural order, faces first.",
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
    def validate_inputs(cls, case=None):
        return verdict(cls.fingerprint_inputs, case)

    @classmethod
    def fingerprint_inputs(cls, case=None):
        # A linked name is known only when the node runs.
        return "" if case is None else case_fingerprint(case)

    @classmethod
    def execute(cls, case) -> io.NodeOutput:
        return io.NodeOutput(*read_case(case))

"""The node that says who belongs to the scene."""

from comfy_api.latest import io

from ..lumosx_core.host.conditioning.scene import join_scene
from .base import Node
from .panels import with_panel
from .sockets import SCENE, BackgroundSocket, ReferencesSocket, RelationsSocket, SubjectSocket, aliases

SLOTS = (1, 2, 3)


class LumosXBinder(Node):
    """Subjects, objects and background as one RELATIONS."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_Binder",
            display_name="LumosX Binder",
            category=SCENE,
            **with_panel(),
            **aliases(
                "multi subject", "multi person", "consistency", "combine subjects", "who wears what", "relations",
                "scene", "identity", "characters",
                "phantom", "s2v",
            ),
            description="Combines people, objects and a background into one scene. The order is fixed: background, "
            "objects, people. Warnings are in the report and in the log.",
            inputs=[
                *(
                    SubjectSocket.Input(
                        f"subject_{slot}", optional=True,
                        tooltip="A person from LumosX Subject. The model was trained on one to three people.",
                    )
                    for slot in SLOTS
                ),
                *(
                    ReferencesSocket.Input(
                        f"object_{slot}", optional=True,
                        tooltip="One LumosX Object, or a chain of them. Every picture adds as many tokens as one video "
                        "frame.",
                    )
                    for slot in SLOTS
                ),
                BackgroundSocket.Input("background", optional=True, tooltip="At most one, from LumosX Background."),
                RelationsSocket.Input(
                    "relations", optional=True,
                    tooltip="A scene to extend, from LumosX Load Case or another LumosX Binder; its contents come "
                    "first. Use this for more than three people.",
                ),
            ],
            outputs=[
                RelationsSocket.Output(display_name="relations", tooltip="The scene, for LumosX Relational Encode."),
                io.String.Output(display_name="report", tooltip="Who is who, and warnings, as text."),
            ],
        )

    @classmethod
    def execute(cls, background=None, relations=None, **slots) -> io.NodeOutput:
        scene, view = join_scene(
            (slots.get(f"subject_{slot}") for slot in SLOTS),
            (slots.get(f"object_{slot}") for slot in SLOTS),
            background,
            relations,
        )
        return io.NodeOutput(scene, view["report"], ui={"lumosx_binding": [view]})

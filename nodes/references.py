"""Nodes that turn a picture and its words into a reference."""

from comfy_api.latest import io

from ..lumosx_core.host.conditioning.scene import (
    INFLUENCE,
    SUBJECT,
    attributes_of,
    background_of,
    influence_of,
    objects_of,
    subject_of,
)
from .base import Node
from .sockets import (
    SCENE,
    BackgroundSocket,
    ReferencesSocket,
    SubjectSocket,
    aliases,
    influence_inputs,
    occurrence_input,
)

SLOTS = (1, 2, 3)


def _attribute_inputs():
    for slot in SLOTS:
        yield io.Image.Input(
            f"attribute_{slot}", optional=True,
            tooltip="A picture of something that belongs to this person: clothes, hat, glasses, hair. Leave it "
            "unlinked if not needed. It is best cut out on white. Transparency becomes white, but Load Image removes "
            "it: restore it with Join Image with Alpha.",
        )
        yield io.String.Input(
            f"attribute_{slot}_phrase", display_name=f"words for {slot}", default="", optional=True,
            tooltip="The words of the prompt that name it, e.g. \"white jacket\". They must be in the prompt.",
        )


class LumosXSubject(Node):
    """A person: face, and what belongs to it."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_Subject",
            display_name="LumosX Subject",
            category=SCENE,
            **aliases(
                "person", "character", "identity", "face reference", "multi subject", "subject to video", "s2v",
                "phantom", "who wears what", "multi person", "outfit", "clothes", "consistency",
            ),
            description="One person: a face, and the clothes and things that belong to it. Pictures linked here stay "
            "together; link what belongs to another person to another LumosX Subject.",
            inputs=[
                io.Image.Input(
                    "face", optional=True,
                    tooltip="A picture of the face of one person, with hair and ears. Without it, only the "
                    "attributes are used and the video invents the face.",
                ),
                io.String.Input(
                    "phrase", display_name="words", default="",
                    tooltip="The words of the prompt that name this person, e.g. \"man on the left\". They must be "
                    "in the prompt; words that two people share do not distinguish them.",
                ),
                *_attribute_inputs(),
                ReferencesSocket.Input(
                    "more_attributes", optional=True,
                    tooltip="More attributes: link one LumosX Object, or a chain of them. The model was trained on "
                    "at most 3 attributes per person.",
                ),
                occurrence_input("occurrence", "the person's phrase"),
                *(occurrence_input(f"attribute_{slot}_occurrence", f"attribute {slot}'s phrase") for slot in SLOTS),
                io.Image.Input(
                    "full_body", optional=True,
                    tooltip="A cut-out of the whole person on white, used as a reference of its own with this "
                    "person's phrase. Training used it instead of face and attributes, so link either it or them.",
                ),
                *influence_inputs("all pictures of this person"),
                *influence_inputs("the face", "face_"),
                *(one for slot in SLOTS for one in influence_inputs(f"attribute {slot}", f"attribute_{slot}_")),
            ],
            outputs=[SubjectSocket.Output(display_name="subject", tooltip="This person, for LumosX Binder.")],
        )

    @classmethod
    def execute(
        cls, phrase, face=None, more_attributes=None, occurrence=0, full_body=None, strength=1.0, start_percent=0.0,
        end_percent=1.0, **slots
    ) -> io.NodeOutput:
        attributes = attributes_of({**slots, "face": face, "full_body": full_body}, SLOTS, more_attributes)
        person = influence_of(SUBJECT, strength, start_percent, end_percent)
        of_face = [slots.get(f"face_{name}") for name in INFLUENCE]
        own = influence_of(SUBJECT, of_face[0], of_face[1], of_face[2], "face_", face)
        return io.NodeOutput(subject_of(phrase, face, occurrence, attributes, full_body, person, own))


class LumosXObject(Node):
    """A thing that belongs to nobody, or one more attribute."""

    LEFT_OUT = frozenset({"image"})

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_Object",
            display_name="LumosX Object",
            category=SCENE,
            **aliases("prop", "product", "item", "thing", "outfit", "clothes", "reference image", "subject to video"),
            description="A thing in the scene that belongs to nobody. Objects can be chained; linked to "
            "more_attributes of a LumosX Subject, they become attributes of that person.",
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="One picture of the thing, best cut out on white. Transparency becomes white, but Load "
                    "Image removes it: restore it with Join Image with Alpha.",
                ),
                io.String.Input(
                    "phrase", display_name="words", default="",
                    tooltip="The words of the prompt that name it, e.g. \"white lamp\". They must be in the prompt.",
                ),
                ReferencesSocket.Input(
                    "previous", optional=True, tooltip="Objects that come before this one; chain as many as you need."
                ),
                occurrence_input("occurrence", "the phrase"),
                *influence_inputs("this picture"),
            ],
            outputs=[ReferencesSocket.Output(display_name="objects", tooltip="The chain, ending with this one.")],
        )

    @classmethod
    def execute(
        cls, image, phrase, previous=None, occurrence=0, strength=1.0, start_percent=0.0, end_percent=1.0
    ) -> io.NodeOutput:
        influence = influence_of("LumosX Object", strength, start_percent, end_percent)
        return io.NodeOutput(objects_of(image, phrase, previous, occurrence, influence))


class LumosXBackground(Node):
    """Where the scene takes place."""

    LEFT_OUT = frozenset({"image"})

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_Background",
            display_name="LumosX Background",
            category=SCENE,
            **aliases("scene", "place", "location", "environment", "reference image"),
            description="A picture of the place, without people.",
            inputs=[
                io.Image.Input("image", tooltip="One picture of the whole place, best without people."),
                io.String.Input(
                    "phrase", display_name="words", default="",
                    tooltip="The words of the prompt that name it, e.g. \"modern kitchen\". They must be in the "
                        "prompt.",
                ),
                occurrence_input("occurrence", "the phrase"),
                *influence_inputs("this picture"),
            ],
            outputs=[BackgroundSocket.Output(display_name="background", tooltip="The background, for LumosX Binder.")],
        )

    @classmethod
    def execute(
        cls, image, phrase, occurrence=0, strength=1.0, start_percent=0.0, end_percent=1.0
    ) -> io.NodeOutput:
        influence = influence_of("LumosX Background", strength, start_percent, end_percent)
        return io.NodeOutput(background_of(image, phrase, occurrence, influence))

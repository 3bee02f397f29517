"""The nodes that keep a person and use them again."""

from comfy_api.latest import io, ui

from ..lumosx_core.host.media.people import (
    Keeping,
    check_person_name,
    keep_person,
    list_people,
    open_kept,
    person_fingerprint,
    person_path,
)
from ..lumosx_core.people.person import OtherWords
from .base import Node, when_known
from .sockets import SCENE, RelationsSocket, SubjectSocket, aliases, occurrence_input


class LumosXSavePerson(Node):
    """A subject as a folder of its own."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_SavePerson",
            display_name="LumosX Save Person",
            category=SCENE,
            **aliases("keep person", "character library", "save character", "export person", "reuse person"),
            description="Keeps a person as a folder in models/lumosx/people: face, attributes and full body with their "
            "words, further pictures and a note. LumosX Load Person brings the person into any other workflow; a "
            "folder can be zipped and shared.",
            inputs=[
                io.String.Input(
                    "name", default="person",
                    tooltip="The name of the folder. A number is added where somebody has it (person_2), unless "
                    "replace is on.",
                ),
                SubjectSocket.Input("subject", optional=True, tooltip="The person, from LumosX Subject."),
                RelationsSocket.Input(
                    "relations", optional=True,
                    tooltip="A scene to take a person out of, in place of subject: from LumosX Load Case or LumosX "
                    "Binder.",
                ),
                io.Int.Input(
                    "number", default=1, min=1, max=64, optional=True,
                    tooltip="Which person of relations, in the order of its report; full bodies without a group come "
                    "last. Leave it at 1 where a subject is linked.",
                ),
                io.String.Input(
                    "note", default="", multiline=True, optional=True,
                    tooltip="Anything that you want to remember: where the pictures are from, which words worked.",
                ),
                io.Image.Input(
                    "views", optional=True,
                    tooltip="Further pictures of the same person, one or a batch. They are kept, and come out of views "
                    "of LumosX Load Person; no video uses them by itself.",
                ),
                io.Boolean.Input(
                    "replace", default=False, optional=True,
                    tooltip="Writes exactly the name above, without a number. The person who has it is removed once "
                    "the new one is complete; a folder that holds anything else is never touched.",
                ),
            ],
            outputs=[
                # LumosX Load Person takes it as it takes a choice from its own list.
                io.Custom("COMBO").Output(
                    display_name="saved_as", tooltip="The name of the folder, for the person of LumosX Load Person."
                ),
                io.String.Output(display_name="report", tooltip="Where the person was saved, and what was saved."),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, name=None):
        return cls.verdict(when_known(check_person_name), name=name)

    @classmethod
    def execute(
        cls, name, subject=None, relations=None, number=1, note="", views=None, replace=False
    ) -> io.NodeOutput:
        saved_as, report, sheet = keep_person(subject, relations, views, Keeping(name, note, number, replace))
        shown = ui.PreviewImage(sheet, cls=cls).as_dict()
        return io.NodeOutput(saved_as, report, ui={**shown, "text": (report,)})


class LumosXLoadPerson(Node):
    """A folder, or a zip file, to a subject."""

    FILES = frozenset({"person"})

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_LoadPerson",
            display_name="LumosX Load Person",
            category=SCENE,
            **aliases("kept person", "character library", "load character", "import person", "reuse person"),
            description="Brings a person into a scene that LumosX Save Person kept in models/lumosx/people, with face, "
            "attributes and full body. The words are the saved ones unless you type others here; they must be in the "
            "prompt.",
            inputs=[
                io.Combo.Input(
                    "person", options=list_people(),
                    tooltip="A folder or a zip file in models/lumosx/people. Press R after you have added one.",
                ),
                io.String.Input(
                    "phrase", display_name="words", default="", optional=True,
                    tooltip="What this prompt calls the person, e.g. \"man on the left\". If empty, the saved words.",
                ),
                occurrence_input("occurrence", "the person's phrase"),
                io.String.Input(
                    "attribute_phrases", default="", multiline=True, optional=True,
                    tooltip="What this prompt calls the attributes, one per line, in the order of the report. An empty "
                    "line keeps the saved words.",
                ),
            ],
            outputs=[
                SubjectSocket.Output(display_name="subject", tooltip="The person, for LumosX Binder."),
                io.Image.Output(
                    display_name="face", tooltip="The face alone. If there is none, only the nodes linked here stop.",
                ),
                io.Image.Output(
                    display_name="pictures", is_output_list=True,
                    tooltip="Face, attributes and full body, each in its own size.",
                ),
                io.Image.Output(
                    display_name="views", is_output_list=True,
                    tooltip="The further pictures, for LumosX Views. If there are none, only the nodes linked here "
                    "stop.",
                ),
                io.String.Output(display_name="note", tooltip="The note that was saved."),
                io.String.Output(display_name="report", tooltip="Who it is, what was left out, and warnings."),
            ],
        )

    @classmethod
    async def validate_inputs(cls, person=None, phrase=None, attribute_phrases=None):
        return await cls.verdict_aside(_check_person, person=person, phrase=phrase, attribute_phrases=attribute_phrases)

    @classmethod
    def fingerprint_inputs(cls, person=None, **others):
        # A linked name is known only when the node runs.
        return "" if person is None else person_fingerprint(person)

    @classmethod
    def execute(cls, person, phrase="", occurrence=0, attribute_phrases="") -> io.NodeOutput:
        kept = open_kept(person, OtherWords(phrase, occurrence, attribute_phrases))
        return io.NodeOutput(
            kept.subject, kept.face, kept.pictures, kept.views, kept.note, kept.report,
            ui=ui.PreviewImage(kept.sheet, cls=cls),
        )


def _check_person(person, phrase, attribute_phrases):
    if person is not None:
        person_path(person)

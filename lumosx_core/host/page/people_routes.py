"""What the page asks about people that are kept: their names, what one of them has, and small pictures of it.

As the other routes, these only read, are for the page of this server alone, and take no longer than a few seconds.
"""

from __future__ import annotations

import io
import sys
from typing import Any

from aiohttp import web

from ...errors import LumosXError
from ...media.pictures import letterbox, pil_from_tensor
from ...people.person import OtherWords
from ...people.reading import describe_person, read_picture
from ...scene.relations import LONGEST_PHRASE, Kind
from ..media.people import list_people, person_path
from .routes import LARGEST_NUMBER, LONGEST_TEXT_FIELD, Turn, answered

PEOPLE, PERSON, PICTURE = "/lumosx/people", "/lumosx/person", "/lumosx/person/picture"
SECONDS = 5.0
MOST_NAMES = 512
LONGEST_LINES = 4_000
"""Characters of all attributes' words; the server takes no longer address than twice that."""
SIDE = 128
MOST_PICTURE_PIXELS = 16_000_000
"""Of a picture that is shown small; larger ones are not."""


def register_people() -> None:
    """Add the routes to the server of this process; none if there is no server, or if it has them already."""
    running = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if running is None or any(getattr(route, "path", None) == PEOPLE for route in running.routes):
        return
    # Pictures come many at once; they must not keep the board waiting for words.
    words_turn, picture_turn = Turn(), Turn()

    @running.routes.get(PEOPLE)
    async def people(request: web.Request) -> web.Response:
        return await answered(request, lambda: words_turn.answer(request, lambda _: answer_people(), SECONDS))

    @running.routes.get(PERSON)
    async def person(request: web.Request) -> web.Response:
        asked = dict(request.query)
        return await answered(request, lambda: words_turn.answer(request, lambda _: answer_person(asked), SECONDS))

    @running.routes.get(PICTURE)
    async def picture(request: web.Request) -> web.Response:
        name, file = request.query.get("name", ""), request.query.get("file")
        return await answered(
            request, lambda: picture_turn.answer(request, lambda _: answer_picture(name, file), SECONDS)
        )


def answer_people() -> dict[str, Any]:
    """The names of people, as LumosX Load Person lists them, but no more than ``MOST_NAMES``."""
    return {"people": list_people()[:MOST_NAMES]}


def answer_person(asked: dict[str, str]) -> dict[str, Any]:
    """What a person has under the words that the node gives; pictures are named, never opened.

    Args:
        asked: ``name``, and ``phrase``, ``occurrence`` and ``attribute_phrases`` as LumosX Load Person has them.

    Raises:
        LumosXError: nobody of this name, what is no person, or too much text.
    """
    name, phrase, lines = (asked.get(part, "") for part in ("name", "phrase", "attribute_phrases"))
    bounds = (("name", name, LONGEST_TEXT_FIELD), ("phrase", phrase, LONGEST_PHRASE),
              ("attribute_phrases", lines, LONGEST_LINES))
    for part, text, most in bounds:
        if len(text) > most:
            raise LumosXError(f"person: {part} has more than {most} characters; send less.")
    words = OtherWords(phrase, _number(asked.get("occurrence", "0")), lines)
    found = describe_person(person_path(name))
    face = [] if found.face is None else [(Kind.FACE, words.of_person(found.face))]
    worn = [(Kind.ATTRIBUTE, one) for one in words.of_attributes(found.attributes)]
    body = [] if found.full_body is None else [(Kind.OBJECT, words.of_person(found.full_body))]
    return {"references": [
        {
            "kind": kind.value, "phrase": " ".join(entry.phrase.split()), "occurrence": entry.occurrence,
            "full_body": entry.full_body, "file": entry.file,
        }
        for kind, entry in (*face, *worn, *body)
    ]}


def answer_picture(name: str, file: str | None) -> bytes:
    """A picture of a person as a small PNG.

    Args:
        file: as ``answer_person`` names it; None for the one that shows best who it is.

    Raises:
        LumosXError: no such person or picture, a broken one, or one that is too large to be shown.
    """
    image = pil_from_tensor(read_picture(person_path(name[:LONGEST_TEXT_FIELD]), file, MOST_PICTURE_PIXELS))
    content = io.BytesIO()
    letterbox(image, SIDE, SIDE).save(content, "PNG")
    return content.getvalue()


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > len(str(LARGEST_NUMBER)) or int(text) > LARGEST_NUMBER:
        raise LumosXError(f"person: occurrence is not a number from 0 to {LARGEST_NUMBER}; send one.")
    return int(text)

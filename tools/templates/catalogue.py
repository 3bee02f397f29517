"""The templates, from the first try to a folder of cases, and those of other methods behind them."""

from __future__ import annotations

from dataclasses import replace

from lumosx_core.tiny import demo_pictures as drawn
from lumosx_core.tiny.demo_case import SCRIPT
from lumosx_core.tiny.trained import POLYVIVID
from lumosx_core.tiny.world.script import Role, Script, Wear
from tools.templates import notes
from tools.templates.best import CHOSEN, FEW_STEPS, FIRST, best_of_four
from tools.templates.continuing import CHUNK, CONTINUED, continued
from tools.templates.finishing import finished
from tools.templates.groups import (
    BACK,
    CASE,
    CREATE,
    DRESS,
    GUITAR,
    HAT,
    HUNYUAN,
    JACKET,
    JOINED,
    LOWER,
    LOWER_ROW,
    MAN,
    MAN_FACE,
    NARROW,
    PARK,
    REAL,
    REAL_SIZE,
    SAVE_DOWN,
    THIN,
    TILED,
    TINY,
    TINY_SAMPLING,
    TINY_SIZE,
    UPPER_ROW,
    USUAL,
    VAE_WIRE,
    WOMAN,
    WOMAN_FACE,
    board,
    note,
    people_and_things,
    picture,
    pictures_of,
    place,
    prompt,
    real_models,
    sampling,
    small_picture,
    subject,
    tiny_models,
    two_people,
    video,
)
from tools.templates.lynx import lynx
from tools.templates.repair import REPAIRED, repaired
from tools.templates.sheet import (
    BETWEEN_NODES,
    BLUE,
    GREEN,
    OCHRE,
    OLIVE,
    RED,
    TITLE_BAR,
    Band,
    Column,
    GraphNode,
    Route,
    Template,
    staggered,
)


def script(*roles, place="park", mood="sunny", thing="guitar", thing_colour="blue"):
    """A prompt in the words of the drawn world."""
    return Script(roles=roles, place=place, mood=mood, thing=thing, thing_colour=thing_colour, together=True).prompt


def demo():
    """The first try: a whole scene on the small model."""
    roles = tuple(replace(role, wears=role.wears[:1]) for role in SCRIPT.roles)
    return Template("1 Demo without downloads", "demo_scene", [
        note("note", notes.DEMO, 300),
        pictures_of([MAN_FACE, JACKET], [WOMAN_FACE, DRESS], [[GUITAR], [PARK]]),
        people_and_things(("green jacket", "jacket")),
        board(420, ("man", "woman"), object_1="object", background="place"),
    ], [
        note("more", notes.DEMO_REAL, 300), tiny_models(),
        prompt(TINY, TINY_SIZE, replace(SCRIPT, roles=roles).prompt, width=470),
        sampling(TINY, **TINY_SAMPLING),
        video(TINY, "video/LumosX", 500, scale={
            "upscale_method": "lanczos", "width": 768, "height": 576, "crop": "disabled",
        }),
    ], UPPER_ROW, LOWER_ROW, [BACK, VAE_WIRE])


def faces():
    """The shortest way to real people."""
    text = (
        "A man on the left and a woman on the right sit side by side at a small table in a café. Warm light falls "
        "through the window behind them. They talk, laugh and look at each other, while the camera slowly moves closer."
    )
    return Template("2 Two people by their faces", "faces", [
        note("note", notes.FACES, 320), *two_people("2 People", False), board(760, ("man", "woman")),
    ], [
        note("files", notes.files() + "\n" + notes.FACES_COST, 320),
        real_models(), prompt(REAL, REAL_SIZE, text), sampling(REAL),
        video(REAL, "video/LumosX two faces", 460),
    ], UPPER_ROW, LOWER_ROW, [BACK])


def clothes():
    """Everything that a scene can hold."""
    text = (
        "A man on the left, wearing a green jacket and a red hat, and a woman on the right, wearing a yellow dress, "
        "stand side by side in a sunny park. Between them a blue guitar leans on a bench. They look at each other, "
        "laugh and wave at the camera, which slowly moves closer."
    )
    return Template("3 Clothes, objects and a background", "clothes", [
        note("note", notes.CLOTHES, 300),
        pictures_of([MAN_FACE, JACKET], [WOMAN_FACE, DRESS], [[HAT, GUITAR], [PARK]]),
        people_and_things(("green jacket", "jacket"), ("red hat", "hat")),
        board(420, ("man", "woman"), object_1="object", background="place"),
    ], [
        note("files", notes.files() + "\n" + notes.CLOTHES_COST, 320),
        real_models(), prompt(REAL, REAL_SIZE, text), sampling(REAL),
        video(REAL, "video/LumosX clothes", 500),
    ], UPPER_ROW, LOWER_ROW, [BACK])


def snapshots():
    """From photos as they come from a phone to references, and a score."""
    text = script(
        Role("man", "on the left", 34.0, (Wear("jacket", "red"),), "waves"),
        Role("woman", "on the right", 94.0, (), "waves"), thing="",
    )
    found = Band("1 Snapshots, faces, cut-out", GREEN, [
        Column(THIN, [picture("people", "Snapshot of two people", drawn.TWO_PEOPLE)]),
        Column(THIN, [picture("chair", "Snapshot of a jacket", drawn.JACKET_ON_A_CHAIR)], LOWER),
        Column(240, [GraphNode("crop", "LumosX_FaceCrop", links={"image": ("people", 0)})]),
        # The wire to the upper one passes above the faces' sockets.
        Column(280, [
            GraphNode("square", "ImageScale", 0, "To 512 x 512", {"image": ("chair", 0)},
                 {"upscale_method": "lanczos", "width": 512, "height": 512, "crop": "center"},
                 options={"collapsed": (280, 156)}),
            GraphNode("cut_out", "LumosX_CutOut", links={"image": ("square", 0)},
                 values={"box_x": 32, "box_y": 32, "box_width": 448, "box_height": 448}),
        ]),
    ])
    people = Band("2 People and place", OCHRE, [
        Column(262, [
            subject("man", "The man on the left", MAN, ("crop", 0), ("red jacket", ("cut_out", 0))),
            small_picture("park", "Picture of the park", drawn.PARK, 262),
        ], 10),
        Column(262, [subject("woman", "The woman on the right", WOMAN, ("crop", 1)), place()], 20),
    ])
    scores = Band("8 Scores", GREEN, [
        Column(275, [GraphNode("identity", "LumosX_IdentityScore", links={
            "images": ("decode", 0), "relations": ("binder", 0)})], down=36),
        Column(240, [
            report_of("identity", "How alike they are", 240),
            GraphNode("plot", "PreviewImage", None, "Likeness over time", {"images": ("identity", 2)}),
            GraphNode("marked", "CreateVideo", CREATE, "The video with marks", {"images": ("identity", 3)}),
        ]),
        Column(240, [GraphNode("save_marked", "SaveVideo", None, None, {"video": ("marked", 0)},
                          {"filename_prefix": "video/LumosX snapshots marked"})], SAVE_DOWN),
    ])
    return Template("4 From snapshots", "snapshots", [
        note("note", notes.SNAPSHOTS, 340), found, people, board(340, ("man", "woman"), background="place"),
    ], [
        tiny_models(250), prompt(TINY, TINY_SIZE, text, width=330),
        sampling(TINY, NARROW, **TINY_SAMPLING), video(TINY, "video/LumosX snapshots", 260), scores,
    ], UPPER_ROW, LOWER_ROW, [
        Route(("binder", 0), [("identity", "relations"), ("encode", "relations")]), VAE_WIRE,
    ])


def report_of(score, title, width):
    """A score's report; it opens as its title, since Vue nodes of some pages are as high as the whole text."""
    return GraphNode(
        score + "_report", "PreviewAny", 0, title, {"source": (score, 0)}, options={"collapsed": (width, 400)}
    )


def small_card():
    """For about 4 GB."""
    text = (
        "A man on the left, wearing a green jacket, and a woman on the right, wearing a yellow dress, walk side by "
        "side along a beach at sunset. They talk and laugh, while the camera slowly moves along with them."
    )
    decoder = GraphNode("decode", "VAEDecodeTiled", TILED, values={
        "tile_size": 256, "overlap": 64, "temporal_size": 32, "temporal_overlap": 8,
    })
    return Template("5 On a small card", "small_card", [
        note("note", notes.SMALL_CARD, 320), *two_people("2 People and their clothes", True),
        board(404, ("man", "woman")),
    ], [
        note("files", notes.files(notes.PACKED_FILE) + "\n" + notes.SMALL_CARD_COST, 320),
        real_models(notes.PACKED_FILE, 2.5),
        prompt(REAL, REAL_SIZE, text), sampling(REAL),
        video(REAL, "video/LumosX small card", 460, decoder),
    ], UPPER_ROW, LOWER_ROW, [BACK])


def few_steps():
    """With a LoRA that needs three steps."""
    text = (
        "A man on the left, wearing a green jacket, and a woman on the right, wearing a yellow dress, dance together "
        "on a roof terrace in the evening. Lights of the city shine behind them, while the camera slowly circles "
        "around."
    )
    models = {**REAL, "model": ("lora", 0)}
    return Template("6 Three steps with a LoRA", "few_steps", [
        note("note", notes.FEW_STEPS, 320), *two_people("2 People and their clothes", True),
        board(404, ("man", "woman")),
    ], [
        note("files", notes.files(lora=True) + "\n" + notes.FEW_STEPS_COST, 300), real_models(lora=True),
        prompt(models, REAL_SIZE, text),
        sampling(models, schedule="CausVid", steps=3, cfg=1.0), video(models, "video/LumosX few steps", 284),
    ], UPPER_ROW, LOWER_ROW, [BACK])


def cases():
    """A folder of cases, one after the other, with scores."""
    return Template("7 A folder of cases with scores", "batch", [
        note("note", notes.CASES, 260),
        Band("1 Cases", GREEN, [Column(250, [
            GraphNode("next", "PrimitiveNode", 128, "Next case", options={
                "values": ["[LumosX portraits]", "increment", ""],
                "output": {"name": "COMBO", "type": "COMBO", "widget": {"name": "case"}, "links": None},
            }),
            GraphNode("case", "LumosX_LoadCase", CASE, links={"case": ("next", 0)}),
        ], UPPER_ROW - 128 - CASE - TITLE_BAR - BETWEEN_NODES)]),
        Band("2 Names of files", OCHRE, [Column(225, [
            joined("score_name", "Name of the scores", ("name", 0), " scores"),
            joined("people_name", "Name of the people", "LumosX batch people/", ("case", 2)),
            joined("clothes_name", "Name of the clothes", "LumosX batch clothes/", ("case", 2)),
            joined("name", "Name of the video", "LumosX batch/", ("case", 2)),
        ], 330)]),
        *scores_of_cases(),
    ], [
        note("files", notes.files() + "\n" + notes.CASES_MORE, 300), real_models(),
        prompt(REAL, REAL_SIZE, ("case", 1), ("case", 0), 400), sampling(REAL), video(REAL, ("name", 0), 300),
        Band("3c Score of motion", RED, [Column(USUAL, [
            GraphNode("motion", "LumosX_MotionScore", 280, links={"images": ("decode", 0)}),
            GraphNode("moves", "PreviewImage", None, "How much moves", {"images": ("motion", 3)}),
        ], 60)]),
    ], UPPER_ROW, LOWER_ROW, [
        Route(("decode", 0), [("identity", "images"), ("attributes", "images")]),
        Route(("case", 0), [("encode", "relations"), ("identity", "relations"), ("attributes", "relations")]),
        Route(("case", 1), [("encode", "prompt")]),
        Route(("name", 0), [("save", "filename_prefix")]),
    ])


def joined(key, title, *parts):
    """Two texts as one, the first and the second each typed or linked; it opens as its title."""
    made = GraphNode(key, "StringConcatenate", 0, title, options={"collapsed": (USUAL, JOINED)})
    for name, part in zip(("string_a", "string_b"), parts, strict=True):
        (made.values if isinstance(part, str) else made.links)[name] = part
    return made


def scores_of_cases():
    """The scores of people and of clothes, each with its plot and its frames as a video."""
    watched = {"images": ("decode", 0), "relations": ("case", 0)}
    identity = GraphNode("identity", "LumosX_IdentityScore", links={**watched, "save_as": ("score_name", 0)})
    attributes = GraphNode("attributes", "LumosX_AttributeScore", links=watched, values={"by": "everything there is"})
    return [
        Band("3a Scores of people", RED, [
            Column(240, [identity]),
            Column(225, [
                report_of("identity", "How alike they are", 225),
                GraphNode("plot", "PreviewImage", None, "Likeness over time", {"images": ("identity", 2)}),
                GraphNode("people", "CreateVideo", CREATE, "Who is taken for whom", {"images": ("identity", 3)}),
            ]),
            saved_frames("people"),
        # Room for the wires that go up between the columns.
        ], 30),
        Band("3b Scores of clothes", RED, [
            Column(240, [attributes]),
            Column(225, [
                report_of("attributes", "Who wears what", 225),
                GraphNode("ahead", "PreviewImage", None, "Lead of the owners", {"images": ("attributes", 3)}),
                # Every fourth frame is looked at.
                GraphNode("clothes", "CreateVideo", CREATE, "Where things are",
                     {"images": ("attributes", 2)}, {"fps": 4.0}),
            ]),
            saved_frames("clothes"),
        ], 30),
    ]


def saved_frames(what):
    """The column of the Save Video of a score's frames."""
    return Column(225, [GraphNode(f"save_{what}", "SaveVideo", None, None, {
        "video": (what, 0), "filename_prefix": (f"{what}_name", 0),
    })], SAVE_DOWN)


def polyvivid():
    """Two subjects on the small HunyuanVideo."""
    wears = (Wear("sweater"),)
    text = script(
        Role("man", "on the left", 34.0, wears, "waves"), Role("woman", "on the right", 94.0, wears, "waves"), thing="",
    )
    encode = GraphNode("encode", "LumosX_PolyVividEncode", links={
        "clip": ("models", 1), "clip_vision": ("models", 2), "vae": ("models", 3), "relations": ("binder", 0),
    }, values={"prompt": text, "picture_side": 96})
    sampler = GraphNode("sampler", "KSampler", links={
        "model": ("adapter", 0), "positive": ("encode", 0), "negative": ("encode", 1), "latent_image": ("size", 0),
    }, values={"steps": 20, "cfg": 2.0})
    decoded = video(HUNYUAN, "video/LumosX PolyVivid", 428, scale={
        "upscale_method": "lanczos", "width": 768, "height": 576, "crop": "disabled",
    })
    return Template("9 PolyVivid two subjects", "polyvivid", [
        note("note", notes.POLYVIVID, 320),
        pictures_of(
            [("man_picture", "The whole man", drawn.WHOLE_MAN)],
            [("woman_picture", "The whole woman", drawn.WHOLE_WOMAN)],
        ),
        Band("2 Subjects", OCHRE, staggered([
            Column(NARROW, [subject("man", "The man on the left", MAN, ("man_picture", 0))]),
            Column(NARROW, [subject("woman", "The woman on the right", WOMAN, ("woman_picture", 0))]),
        ], 24)),
        board(640, ("man", "woman")),
    ], [
        note("more", notes.POLYVIVID_REAL, 320),
        Band("4 Small models", BLUE, [Column(USUAL, [
            GraphNode("models", "LumosX_TinyHunyuan", 110),
            GraphNode("adapter", "LumosX_PolyVivid", None, None, {"model": ("models", 0)}, {"adapter": POLYVIVID.name}),
        ])]),
        Band("5 Prompt", OCHRE, [Column(360, [encode], down=20)]),
        Band("6 Sampling", OLIVE, [
            Column(THIN, [
                GraphNode("size", "EmptyHunyuanLatentVideo", 150, values={"width": 128, "height": 96, "length": 9}),
            ], down=400),
            Column(USUAL, [sampler], down=40),
        ]),
        decoded,
    ], UPPER_ROW, LOWER_ROW, [BACK, Route(("models", 3), [("decode", "vae")])])


def repair():
    """Two people whose faces are sampled again."""
    return repaired(
        [*two_people("2 People", False), board(500, ("man", "woman"))],
        [real_models(), prompt(REAL, REAL_SIZE, REPAIRED, width=330), sampling(REAL, NARROW)],
    )


def two_chunks():
    """Two people in a video of two clips."""
    lower = [real_models(), prompt(REAL, REAL_SIZE, CONTINUED, width=300), sampling(REAL, CHUNK, seed=1)]
    return continued([*two_people("2 People", False), board(500, ("man", "woman"))], lower)


def four_videos():
    """Two people in four videos, of which one is finished."""
    size = {**REAL_SIZE, "batch_size": 4}
    lower = [real_models(), prompt(REAL, size, CHOSEN, width=300), sampling(REAL, FIRST, seed=1, steps=FEW_STEPS)]
    return best_of_four([*two_people("2 People and their clothes", True), board(404, ("man", "woman"))], lower)


def templates():
    """All of them, in the order of their numbers."""
    return [
        demo(), faces(), clothes(), snapshots(), small_card(), few_steps(), cases(), lynx(), polyvivid(), repair(),
        two_chunks(), finished(), four_videos(),
    ]

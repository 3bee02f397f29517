"""The templates, from the first try to a folder of cases, and those of other methods behind them."""

from __future__ import annotations

from dataclasses import replace

from lumosx_core.tiny import demo_pictures as drawn
from lumosx_core.tiny.demo_case import SCRIPT
from lumosx_core.tiny.trained import POLYVIVID
from lumosx_core.tiny.world.script import Role, Script, Wear
from tools.templates import notes
from tools.templates.lynx import lynx
from tools.templates.sheet import (
    BETWEEN_NODES,
    BLUE,
    GREEN,
    OCHRE,
    OLIVE,
    PURPLE,
    RED,
    TITLE_BAR,
    Band,
    Column,
    GraphNode,
    Route,
    Template,
    staggered,
)

PICTURE, SUBJECT, OBJECT, BACKGROUND = 324, 368, 138, 118
SAMPLER, LOADER, SIMPLE, DECODE, TILED, CREATE = 372, 156, 122, 66, 178, 110
# Two pictures below each other, in up to two or three columns of which each begins a little lower; and what is left.
TWO_PICTURES, STEP = 2 * PICTURE + TITLE_BAR + BETWEEN_NODES, 27
PEOPLE_ROW, VIDEO_ROW = TWO_PICTURES + STEP, 466
THIN, NARROW, USUAL = 230, 270, 300
CASE, JOINED = 176, 208
MAN, WOMAN = "man on the left", "woman on the right"
REAL_SIZE = {"width": 832, "height": 480, "frames": 81}
TINY_SIZE = {"width": 128, "height": 96, "frames": 17}
TINY_SAMPLING = {"steps": 20, "cfg": 3.0, "shift": 5.0}


def note(key, text, width=260):
    """A column with a note."""
    title = "Read me" if text.startswith("#") else "Read me too"
    return Band(None, None, [Column(width, [GraphNode(key, "MarkdownNote", title=title, options={"text": text})])])


def picture(key, title, file, height=PICTURE):
    """A Load Image with one of the drawn pictures."""
    return GraphNode(key, "LoadImage", height, title, values={"image": file})


def subject(key, title, phrase, face, *attributes):
    """A LumosX Subject; attributes are (words, source)."""
    links, values = {"face": face}, {"phrase": phrase}
    for slot, (words, source) in enumerate(attributes, 1):
        links[f"attribute_{slot}"] = source
        values[f"attribute_{slot}_phrase"] = words
    return GraphNode(key, "LumosX_Subject", SUBJECT, title, links, values)


def board(width, people, **things):
    """The Binder's group."""
    links = {f"subject_{slot}": (key, 0) for slot, key in enumerate(people, 1)}
    links |= {name: (key, 0) for name, key in things.items()}
    return Band("3 Board: who wears what", PURPLE, [Column(width, [GraphNode("binder", "LumosX_Binder", links=links)])])


def tiny_models(width=USUAL):
    """The group of the small models."""
    return Band("4 Small models", BLUE, [Column(width, [GraphNode("models", "LumosX_TinyModels", 128)])])


def real_models(weights=notes.WEIGHTS_FILE, budget=0.0, lora=False):
    """The group of the loaders."""
    # Pages that do not list GGUF files would call one missing even when it is there.
    listed = [notes.WEIGHTS] if weights == notes.WEIGHTS_FILE else []
    nodes = [
        GraphNode(
            "loader", "LumosX_ModelLoader", LOADER, None, {}, {"model_name": weights, "vram_budget": budget}, listed
        ),
        GraphNode("clip", "CLIPLoader", SIMPLE, values={"clip_name": notes.ENCODER_FILE}, models=[notes.ENCODER]),
        GraphNode("vae", "VAELoader", 70, values={"vae_name": notes.VAE_FILE}, models=[notes.VAE]),
    ]
    if not lora:
        return Band("4 Models", BLUE, [Column(USUAL, nodes)])
    added = GraphNode(
        "lora", "LoraLoaderModelOnly", 100, "Few-step LoRA", {"model": ("loader", 0)}, {"lora_name": notes.LORA_FILE},
        [notes.LORA],
    )
    return Band("4 Models", BLUE, [Column(USUAL, nodes[:1]), Column(USUAL, [added, *nodes[1:]])])


TINY = {"model": ("models", 0), "clip": ("models", 1), "vae": ("models", 2)}
HUNYUAN = {"vae": ("models", 3)}
REAL = {"model": ("loader", 0), "clip": ("clip", 0), "vae": ("vae", 0)}


def prompt(models, size, text, relations=("binder", 0), width=450):
    """The group of the prompt; ``text`` is typed, or linked where it is a pair."""
    links = {"clip": models["clip"], "vae": models["vae"], "relations": relations}
    values = dict(size)
    if isinstance(text, tuple):
        links["prompt"] = text
    else:
        values["prompt"] = text
    node = GraphNode("encode", "LumosX_RelationalEncode", links=links, values=values)
    return Band("5 Prompt", OCHRE, [Column(width, [node], down=30)])


def sampling(models, width=USUAL, **values):
    """The group of the sampler."""
    links = {"model": models["model"], "positive": ("encode", 0), "negative": ("encode", 1), "latent": ("encode", 2)}
    return Band("6 Sampling", OLIVE, [
        Column(width, [GraphNode("sampler", "LumosX_Sampler", SAMPLER, links=links, values=values)]),
    ])


def video(models, prefix, width, decoder=None, scale=None):
    """The group from latent to file; ``prefix`` is typed, or linked where it is a pair."""
    decoder = decoder or GraphNode("decode", "VAEDecode", DECODE)
    decoder.links = {"samples": ("sampler", 0), "vae": models["vae"]}
    steps, images = [decoder], ("decode", 0)
    if scale:
        steps.append(GraphNode("scale", "ImageScale", 156, links={"image": images}, values=scale))
        images = ("scale", 0)
    steps.append(GraphNode("video", "CreateVideo", CREATE, links={"images": images}))
    save = GraphNode("save", "SaveVideo", links={"video": ("video", 0)})
    if isinstance(prefix, tuple):
        save.links["filename_prefix"] = prefix
    else:
        save.values["filename_prefix"] = prefix
    height = sum(step.height + TITLE_BAR + BETWEEN_NODES for step in steps)
    down = max(0, min(130, VIDEO_ROW - STEP - height))
    return Band("7 Video", RED, [Column(THIN, steps, down), Column(width, [save])], 48)


VAE_WIRE = Route(("models", 2), [("decode", "vae")])
BACK = Route(("binder", 0), [("encode", "relations")])


def script(*roles, place="park", mood="sunny", thing="guitar", thing_colour="blue"):
    """A prompt in the words of the drawn world."""
    return Script(roles=roles, place=place, mood=mood, thing=thing, thing_colour=thing_colour, together=True).prompt


def demo():
    """The first try: a whole scene on the small model."""
    roles = tuple(replace(role, wears=role.wears[:1]) for role in SCRIPT.roles)
    pictures = Band("1 Pictures", GREEN, staggered([
        Column(THIN, [picture("man_face", "Face of the man", drawn.MAN),
                      picture("woman_face", "Face of the woman", drawn.WOMAN)]),
        Column(THIN, [picture("jacket", "His green jacket", drawn.JACKET),
                      picture("dress", "Her yellow dress", drawn.DRESS)]),
        Column(THIN, [picture("guitar", "The blue guitar", drawn.GUITAR),
                      picture("park", "The sunny park", drawn.PARK)]),
    ], STEP))
    return Template("1 Demo without downloads", "demo_scene", [
        note("note", notes.DEMO, 270),
        pictures,
        people_and_things(("green jacket", "jacket")),
        board(600, ("man", "woman"), object_1="object", background="place"),
    ], [
        note("more", notes.DEMO_REAL, 270), tiny_models(),
        prompt(TINY, TINY_SIZE, replace(SCRIPT, roles=roles).prompt, width=470),
        sampling(TINY, **TINY_SAMPLING),
        video(TINY, "video/LumosX", 500, scale={
            "upscale_method": "lanczos", "width": 768, "height": 576, "crop": "disabled",
        }),
    ], PEOPLE_ROW + STEP, VIDEO_ROW - STEP, [BACK, VAE_WIRE])


def people_and_things(*his):
    """Two people side by side, an object below him and a background below her."""
    attributes = [(words, (key, 0)) for words, key in his]
    return Band("2 People and things", OCHRE, staggered([
        Column(NARROW, [
            subject("man", "The man on the left", MAN, ("man_face", 0), *attributes),
            GraphNode("object", "LumosX_Object", OBJECT, "The blue guitar", {"image": ("guitar", 0)},
                 {"phrase": "blue guitar"}),
        ]),
        Column(NARROW, [
            subject("woman", "The woman on the right", WOMAN, ("woman_face", 0), ("yellow dress", ("dress", 0))),
            place(),
        ]),
    ], 10))


def place():
    """The background of the drawn scenes."""
    return GraphNode(
        "place", "LumosX_Background", BACKGROUND, "The sunny park", {"image": ("park", 0)}, {"phrase": "sunny park"}
    )


def two_people(title, attributes):
    """Pictures and people of the smaller scenes."""
    columns = [Column(THIN, [picture("man_face", "Face of the man", drawn.MAN),
                             picture("woman_face", "Face of the woman", drawn.WOMAN)])]
    his, hers = [], []
    if attributes:
        columns.append(Column(THIN, [picture("jacket", "His green jacket", drawn.JACKET),
                                     picture("dress", "Her yellow dress", drawn.DRESS)]))
        his, hers = [("green jacket", ("jacket", 0))], [("yellow dress", ("dress", 0))]
    return [
        Band("1 Pictures", GREEN, staggered(columns, STEP)),
        Band(title, OCHRE, staggered([
            Column(NARROW, [subject("man", "The man on the left", MAN, ("man_face", 0), *his)]),
            Column(NARROW, [subject("woman", "The woman on the right", WOMAN, ("woman_face", 0), *hers)]),
        ], 24)),
    ]


def faces():
    """The shortest way to real people."""
    text = (
        "A man on the left and a woman on the right sit side by side at a small table in a café. Warm light falls "
        "through the window behind them. They talk, laugh and look at each other, while the camera slowly moves closer."
    )
    return Template("2 Two people by their faces", "faces", [
        note("note", notes.FACES, 320), *two_people("2 People", False), board(760, ("man", "woman")),
    ], [
        note("files", notes.files(), 320), real_models(), prompt(REAL, REAL_SIZE, text), sampling(REAL),
        video(REAL, "video/LumosX two faces", 460),
    ], PEOPLE_ROW, VIDEO_ROW, [BACK])


def clothes():
    """Everything that a scene can hold."""
    text = (
        "A man on the left, wearing a green jacket and a red hat, and a woman on the right, wearing a yellow dress, "
        "stand side by side in a sunny park. Between them a blue guitar leans on a bench. They look at each other, "
        "laugh and wave at the camera, which slowly moves closer."
    )
    # Newer pages draw loaders as Vue nodes a little higher; the second row of pictures gives them the room.
    moved = 6
    low = PICTURE - moved
    pictures = Band("1 Pictures", GREEN, staggered([
        Column(THIN, [picture("man_face", "Face of the man", drawn.MAN, PICTURE + 2 * STEP),
                      picture("woman_face", "Face of the woman", drawn.WOMAN, low)]),
        Column(THIN, [picture("jacket", "His green jacket", drawn.JACKET),
                      picture("dress", "Her yellow dress", drawn.DRESS, low)]),
        Column(THIN, [picture("hat", "His red hat", drawn.HAT),
                      picture("guitar", "The blue guitar", drawn.GUITAR, low)]),
        Column(THIN, [picture("park", "The sunny park", drawn.PARK, low)]),
    ], STEP))
    # Beside the guitar, at the height of the node that it goes to.
    pictures.columns[-1].down = 2 * STEP + PICTURE + TITLE_BAR + BETWEEN_NODES
    return Template("3 Clothes, objects and a background", "clothes", [
        note("note", notes.CLOTHES, 250), pictures,
        people_and_things(("green jacket", "jacket"), ("red hat", "hat")),
        board(470, ("man", "woman"), object_1="object", background="place"),
    ], [
        note("files", notes.files(), 320), real_models(), prompt(REAL, REAL_SIZE, text), sampling(REAL),
        video(REAL, "video/LumosX clothes", 500),
    ], PEOPLE_ROW + STEP - moved, VIDEO_ROW - STEP + moved, [BACK])


def snapshots():
    """From photos as they come from a phone to references, and a score."""
    text = script(
        Role("man", "on the left", 34.0, (Wear("jacket", "red"),), "waves"),
        Role("woman", "on the right", 94.0, (), "waves"), thing="",
    )
    found = Band("1 Snapshots, faces, cut-out", GREEN, [
        Column(THIN, [picture("people", "Snapshot of two people", drawn.TWO_PEOPLE),
                      picture("chair", "Snapshot of a jacket", drawn.JACKET_ON_A_CHAIR)]),
        Column(USUAL, [
            GraphNode("crop", "LumosX_FaceCrop", links={"image": ("people", 0)}),
            GraphNode("square", "ImageScale", 0, "To 512 x 512", {"image": ("chair", 0)},
                 {"upscale_method": "lanczos", "width": 512, "height": 512, "crop": "center"},
                 options={"collapsed": (USUAL, 156)}),
        ]),
        # Low enough for the wires of the faces to pass above it.
        Column(USUAL, [
            GraphNode("cut_out", "LumosX_CutOut", links={"image": ("square", 0)},
                 values={"box_x": 32, "box_y": 32, "box_width": 448, "box_height": 448}),
        ], down=250),
    ])
    people = Band("2 People and place", OCHRE, [
        Column(NARROW, [
            subject("man", "The man on the left", MAN, ("crop", 0), ("red jacket", ("cut_out", 0))),
            # There is no room for its preview, which the board has too.
            GraphNode("park", "LoadImage", 0, "Picture of the park", values={"image": drawn.PARK},
                 options={"collapsed": (NARROW, 324)}),
        ], 10),
        Column(NARROW, [subject("woman", "The woman on the right", WOMAN, ("crop", 1)), place()], 20),
    ])
    # What grows with what it shows is the last of its column.
    scores = Band("8 Scores", GREEN, [
        Column(260, [GraphNode("identity", "LumosX_IdentityScore", links={
            "images": ("decode", 0), "relations": ("binder", 0)})], down=36),
        Column(THIN, [GraphNode("likeness", "PreviewAny", None, "How alike they are", {"source": ("identity", 0)})]),
        Column(THIN, [
            GraphNode("marked", "CreateVideo", CREATE, "The video with marks", {"images": ("identity", 3)}),
            GraphNode("save_marked", "SaveVideo", None, None, {"video": ("marked", 0)},
                 {"filename_prefix": "video/LumosX snapshots marked"}),
        ], down=96),
    ])
    return Template("4 From snapshots", "snapshots", [
        note("note", notes.SNAPSHOTS, 330), found, people, board(480, ("man", "woman"), background="place"),
    ], [
        tiny_models(NARROW), prompt(TINY, TINY_SIZE, text, width=350),
        sampling(TINY, NARROW, **TINY_SAMPLING), video(TINY, "video/LumosX snapshots", 280), scores,
    ], TWO_PICTURES, VIDEO_ROW + STEP, [
        Route(("binder", 0), [("identity", "relations"), ("encode", "relations")]), VAE_WIRE,
    ])


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
        board(640, ("man", "woman")),
    ], [
        note("files", notes.files(notes.PACKED_FILE), 320), real_models(notes.PACKED_FILE, 2.5),
        prompt(REAL, REAL_SIZE, text), sampling(REAL),
        video(REAL, "video/LumosX small card", 460, decoder),
    ], PEOPLE_ROW, VIDEO_ROW, [BACK])


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
        board(640, ("man", "woman")),
    ], [
        note("files", notes.files(lora=True), 300), real_models(lora=True), prompt(models, REAL_SIZE, text),
        sampling(models, schedule="CausVid", steps=3, cfg=1.0), video(models, "video/LumosX few steps", 284),
    ], PEOPLE_ROW, VIDEO_ROW, [BACK])


def cases():
    """A folder of cases, one after the other, with scores."""

    return Template("7 A folder of cases with scores", "batch", [
        note("note", notes.CASES, 320),
        Band("1 Cases", GREEN, [Column(USUAL, [
            GraphNode("next", "PrimitiveNode", 128, "Next case", options={
                "values": ["[LumosX demo]", "increment", ""],
                "output": {"name": "COMBO", "type": "COMBO", "widget": {"name": "case"}, "links": None},
            }),
            GraphNode("case", "LumosX_LoadCase", CASE, links={"case": ("next", 0)}),
        ], PEOPLE_ROW - 128 - CASE - TITLE_BAR - BETWEEN_NODES)]),
        Band("2 Names of the files", OCHRE, [Column(USUAL, [
            GraphNode("score_name", "StringConcatenate", JOINED, "Name of the scores", {"string_a": ("name", 0)},
                 {"string_b": " scores"}),
            GraphNode("name", "StringConcatenate", JOINED, "Name of the video", {"string_b": ("case", 2)},
                 {"string_a": "LumosX batch/"}),
        ], PEOPLE_ROW - 2 * JOINED - TITLE_BAR - BETWEEN_NODES)]),
        scores_of_cases(),
    ], [
        note("files", notes.files(), 320), real_models(),
        prompt(REAL, REAL_SIZE, ("case", 1), ("case", 0)), sampling(REAL), video(REAL, ("name", 0), 460),
    ], PEOPLE_ROW, VIDEO_ROW, [
        Route(("decode", 0), [("identity", "images"), ("attributes", "images"), ("motion", "images")]),
        Route(("case", 0), [("encode", "relations"), ("identity", "relations"), ("attributes", "relations")]),
        Route(("case", 1), [("encode", "prompt")]),
        Route(("name", 0), [("save", "filename_prefix")]),
    ])


def scores_of_cases():
    """The three scores, each with what it shows."""
    watched = {"images": ("decode", 0), "relations": ("case", 0)}
    return Band("3 Scores", RED, [
        Column(280, [GraphNode("identity", "LumosX_IdentityScore", links={**watched, "save_as": ("score_name", 0)})]),
        Column(280, [
            GraphNode("likeness", "PreviewAny", None, "How alike they are", {"source": ("identity", 0)}),
            GraphNode("plot", "PreviewImage", 200, "Likeness over time", {"images": ("identity", 2)}),
            GraphNode("marked", "PreviewImage", 200, "Who is taken for whom", {"images": ("identity", 3)}),
        ]),
        Column(280, [
            GraphNode("attributes", "LumosX_AttributeScore", links=watched, values={"by": "everything there is"}),
            GraphNode("motion", "LumosX_MotionScore", 280, links={"images": ("decode", 0)}),
        ]),
        Column(280, [
            GraphNode("wears", "PreviewAny", None, "Who wears what", {"source": ("attributes", 0)}),
            GraphNode("dressed", "PreviewImage", 220, "Where each thing was looked for", {"images": ("attributes", 2)}),
            GraphNode("moves", "PreviewAny", 140, "How much moves", {"source": ("motion", 0)}),
        ]),
    # Room for the wires that go up between the columns.
    ], 36)


def polyvivid():
    """Two subjects on the small HunyuanVideo."""
    wears = (Wear("sweater"),)
    text = script(
        Role("man", "on the left", 34.0, wears, "waves"), Role("woman", "on the right", 94.0, wears, "waves"), thing="",
    )
    encode = GraphNode("encode", "LumosX_PolyVividEncode", links={
        "clip": ("models", 1), "clip_vision": ("models", 2), "vae": ("models", 3), "relations": ("binder", 0),
    }, values={"prompt": text, "picture_side": 96})
    sampler = GraphNode("sampler", "KSampler", 280, links={
        "model": ("adapter", 0), "positive": ("encode", 0), "negative": ("encode", 1), "latent_image": ("size", 0),
    }, values={"steps": 20, "cfg": 2.0})
    decoded = video(HUNYUAN, "video/LumosX PolyVivid", 460, scale={
        "upscale_method": "lanczos", "width": 768, "height": 576, "crop": "disabled",
    })
    return Template("9 PolyVivid two subjects", "polyvivid", [
        note("note", notes.POLYVIVID, 320),
        Band("1 Pictures", GREEN, [Column(THIN, [
            picture("man_picture", "The whole man", drawn.WHOLE_MAN),
            picture("woman_picture", "The whole woman", drawn.WHOLE_WOMAN),
        ])]),
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
        Band("5 Prompt", OCHRE, [Column(400, [encode], down=30)]),
        Band("6 Sampling", OLIVE, [Column(USUAL, [
            GraphNode("size", "EmptyHunyuanLatentVideo", 150, values={"width": 128, "height": 96, "length": 9}),
            sampler,
        ])]),
        decoded,
    ], TWO_PICTURES, VIDEO_ROW + STEP, [BACK, Route(("models", 3), [("decode", "vae")])])


def templates():
    """All of them, in the order of their names."""
    return [demo(), faces(), clothes(), snapshots(), small_card(), few_steps(), cases(), lynx(), polyvivid()]

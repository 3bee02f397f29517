"""The groups that several templates have: pictures, people, the board, models, prompt, sampling and video."""

from __future__ import annotations

from lumosx_core.tiny import demo_pictures as drawn
from tools.templates import notes
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
    staggered,
)

SUBJECT, OBJECT, BACKGROUND = 368, 138, 118
LOADER, SIMPLE, DECODE, TILED, CREATE = 156, 122, 66, 178, 110
# The lower row has room for what nodes show after a run: a sampler its preview, the encode node its result view.
UPPER_ROW, LOWER_ROW = 602, 618
# A Save Video that begins lower is nearer to the Create Video beside it, at the bottom of its column.
SAVE_DOWN = 200
# By how much a column of pictures begins lower than the one before, and the second person's lower than the first's.
STEP, LOWER = 27, 240
THIN, NARROW, USUAL = 230, 270, 300
CASE, JOINED = 176, 208
MAN, WOMAN = "man on the left", "woman on the right"
MAN_FACE, JACKET = ("man_face", "Face of the man", drawn.MAN), ("jacket", "His green jacket", drawn.JACKET)
WOMAN_FACE, DRESS = ("woman_face", "Face of the woman", drawn.WOMAN), ("dress", "Her yellow dress", drawn.DRESS)
HAT, GUITAR = ("hat", "His red hat", drawn.HAT), ("guitar", "The blue guitar", drawn.GUITAR)
PARK = ("park", "The sunny park", drawn.PARK)
REAL_SIZE = {"width": 832, "height": 480, "frames": 81}
TINY_SIZE = {"width": 128, "height": 96, "frames": 17}
TINY_SAMPLING = {"steps": 20, "cfg": 3.0, "shift": 5.0}


def note(key, text, width=260):
    """A column with a note."""
    title = "Read me" if text.startswith("#") else "Read me too"
    return Band(None, None, [Column(width, [GraphNode(key, "MarkdownNote", title=title, options={"text": text})])])


def picture(key, title, file):
    """A Load Image with one of the drawn pictures."""
    return GraphNode(key, "LoadImage", None, title, values={"image": file})


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
    return Band("5 Prompt", OCHRE, [Column(width, [node], down=20)])


def sampling(models, width=USUAL, **values):
    """The group of the sampler."""
    links = {"model": models["model"], "positive": ("encode", 0), "negative": ("encode", 1), "latent": ("encode", 2)}
    return Band("6 Sampling", OLIVE, [
        Column(width, [GraphNode("sampler", "LumosX_Sampler", None, None, links, values)]),
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
    down = max(0, min(130, LOWER_ROW - height))
    return Band("7 Video", RED, [Column(THIN, steps, down), Column(width, [save])], 48)


VAE_WIRE = Route(("models", 2), [("decode", "vae")])
BACK = Route(("binder", 0), [("encode", "relations")])


def pictures_of(his, hers, others=()):
    """His pictures side by side, hers beside them and lower, so that their wires pass below the sockets of his node.

    Args:
        others: for each of his columns, pictures that stand below and open as their titles: the board shows them too.
    """
    columns = []
    for number, shown in enumerate([*his, *hers]):
        down = number % len(his) * STEP + (number >= len(his)) * LOWER
        columns.append(Column(THIN, [picture(*shown)], down))
    for column, folded in zip(columns, others):
        # Vue nodes that are folded are a little higher than a title.
        free = UPPER_ROW - column.down - len(folded) * (TITLE_BAR + BETWEEN_NODES) - 8
        column.nodes[0].height = free
        column.nodes += [small_picture(*shown) for shown in folded]
    return Band("1 Pictures", GREEN, columns)


def small_picture(key, title, file, width=THIN):
    """A Load Image that opens as its title."""
    return GraphNode(key, "LoadImage", 0, title, values={"image": file}, options={"collapsed": (width, 324)})


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
    his, hers = ([("green jacket", ("jacket", 0))], [("yellow dress", ("dress", 0))]) if attributes else ([], [])
    return [
        pictures_of([MAN_FACE, JACKET][:1 + attributes], [WOMAN_FACE, DRESS][:1 + attributes]),
        Band(title, OCHRE, staggered([
            Column(NARROW, [subject("man", "The man on the left", MAN, ("man_face", 0), *his)]),
            Column(NARROW, [subject("woman", "The woman on the right", WOMAN, ("woman_face", 0), *hers)]),
        ], 24)),
    ]

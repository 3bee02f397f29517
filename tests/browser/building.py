"""Graphs put together in the page, node by node, as a user does it with the mouse."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from browser.page import ComfyPage
from lumosx_core.tiny.demo_case import CAPTION, write_demo_case

_BUILD = """({nodes, links}) => {
    const made = {};
    for (const {key, type, title, at, size, values} of nodes) {
        const node = LiteGraph.createNode(type);
        // Before it is added: later moves do not reach every version's Vue nodes.
        node.pos = at;
        if (size) node.setSize(size);
        if (title) node.title = title;
        app.graph.add(node);
        for (const [name, value] of Object.entries(values)) {
            const widget = node.widgets.find(widget => widget.name === name);
            widget.value = value;
            widget.callback?.(value);
        }
        made[key] = node;
    }
    for (const [from, slot, to, name] of links) {
        const input = made[to].inputs.findIndex(input => input.name === name);
        if (!made[from].connect(slot, made[to], input)) throw new Error(`${from} does not fit ${to} ${name}`);
    }
    return Object.fromEntries(Object.entries(made).map(([key, node]) => [key, String(node.id)]));
}"""


@dataclass
class Drawing:
    """Nodes and links to be put into a page; keys are the caller's own names for nodes."""

    nodes: list[dict] = field(default_factory=list)
    links: list[tuple[str, int, str, str]] = field(default_factory=list)

    def node(self, key, type, at, size=None, title=None, inputs=(), **values) -> str:
        """Add a node; ``inputs`` are (input name, key of the source, its output) triples."""
        made = {"key": key, "type": type, "title": title, "at": list(at), "size": size, "values": values}
        self.nodes.append(made)
        self.links += [(source, output, key, name) for name, source, output in inputs]
        return key

    def put_into(self, comfy: ComfyPage) -> dict[str, str]:
        """Build it in the page and return the id of each node."""
        return comfy.run(_BUILD, {"nodes": self.nodes, "links": self.links})


def demo_pictures(input_folder: Path) -> dict[str, str]:
    """The drawn case's pictures in ComfyUI's input folder: phrase to the name that Load Image takes."""
    case = write_demo_case(input_folder / "drawn")
    names = {path.stem.removeprefix("face_"): path for path in sorted(case.rglob("*.png"))}
    flat = {}
    for phrase, path in names.items():
        (input_folder / f"{phrase}.png").write_bytes(path.read_bytes())
        flat[phrase] = f"{phrase}.png"
    return flat


def two_people(pictures: dict[str, str], steps: int = 20, size: tuple[int, int, int] = (320, 192, 17)) -> Drawing:
    """The drawn case as a graph of single nodes, from pictures to a video."""
    graph = sampled_people(pictures, size, steps)
    graph.node("decode", "VAEDecode", (2220, 20), inputs=[("samples", "sampler", 0), ("vae", "models", 2)])
    graph.node("video", "CreateVideo", (2220, 110), inputs=[("images", "decode", 0)], fps=16.0)
    graph.node("save", "SaveVideo", (1880, 400), [600, 440], inputs=[("video", "video", 0)])
    return graph


def sampled_people(pictures: dict[str, str], size: tuple[int, int, int], steps: int = 20) -> Drawing:
    """Up to the sampler, which tells the encoder which model is linked."""
    graph = encoded_people(pictures, size)
    graph.node(
        "sampler", "LumosX_Sampler", (1880, 20), [300, 330], steps=steps,
        inputs=[("model", "model", 0), *((name, "encode", place) for place, name in enumerate(_ENCODED))],
    )
    return graph


def encoded_people(pictures: dict[str, str], size: tuple[int, int, int]) -> Drawing:
    """Up to the encoder: two people, three attributes, an object and a background, with the demo's models."""
    graph = Drawing()
    for row, phrase in enumerate(pictures):
        title = phrase.capitalize()
        at = 20 + 230 * (row % 2), 20 + 330 * (row // 2)
        graph.node(phrase, "LoadImage", at, [210, 290], title, image=pictures[phrase])
    _scene(graph)
    width, height, frames = size
    graph.node("models", "LumosX_TinyModels", (20, 1340), [270, 90])
    graph.node("model", "LumosX_Model", (320, 1340), [300, 200], inputs=[("model", "models", 0)])
    graph.node(
        "encode", "LumosX_RelationalEncode", (1380, 20), [460, 800],
        inputs=[("clip", "models", 1), ("vae", "models", 2), ("relations", "binder", 0)],
        prompt=CAPTION.partition(";")[2], width=width, height=height, frames=frames,
    )
    return graph


_ENCODED = ("positive", "negative", "latent")


def _scene(graph):
    for key, phrase, at, attributes in (
        ("man", "man on the left", (500, 20), ("green jacket", "red hat")),
        ("woman", "woman on the right", (500, 400), ("yellow dress",)),
    ):
        slots = list(enumerate(attributes, 1))
        graph.node(
            key, "LumosX_Subject", at, [330, 340], phrase.capitalize(),
            inputs=[("face", phrase, 0), *((f"attribute_{slot}", name, 0) for slot, name in slots)],
            phrase=phrase, **{f"attribute_{slot}_phrase": name for slot, name in slots},
        )
    for key, kind, phrase, at in (
        ("object", "Object", "blue guitar", (500, 780)), ("place", "Background", "sunny park", (500, 950)),
    ):
        graph.node(key, f"LumosX_{kind}", at, [330, 120], inputs=[("image", phrase, 0)], phrase=phrase)
    graph.node("binder", "LumosX_Binder", (870, 20), [470, 800], inputs=[
        ("subject_1", "man", 0), ("subject_2", "woman", 0), ("object_1", "object", 0), ("background", "place", 0),
    ])

"""Where a page really has nodes, sockets, groups and wires, in the graph's own units."""

from __future__ import annotations

from itertools import combinations

# Half a socket and a wire's half: nearer than this a wire seems to end in the socket.
WIRE_WIDTH = 12

_MEASURE = """(width) => {
    const graph = app.graph, canvas = app.canvas, place = canvas.canvas.getBoundingClientRect();
    const { scale, offset } = canvas.ds, pen = document.createElement('canvas').getContext('2d');
    pen.lineWidth = width;
    const toGraph = (box) => [
        (box.left - place.left) / scale - offset[0], (box.top - place.top) / scale - offset[1],
        (box.right - place.left) / scale - offset[0], (box.bottom - place.top) / scale - offset[1]];
    const boxOf = (node) => {
        const element = document.querySelector(`[data-node-id='${node.id}']`);
        if (element) return toGraph(element.getBoundingClientRect());
        const [x, y, w, h] = node.boundingRect;
        return [x, y, x + w, y + h];
    };
    const named = (node) => `${node.title} #${node.id}`;
    // Vue nodes have their sockets elsewhere than the canvas would draw them.
    const socketAt = (node, side, index) => {
        const dot = document.querySelector(`[data-slot-key='${node.id}-${side}-${index}']`);
        if (!dot) return side === 'in' ? node.getInputPos(index) : node.getOutputPos(index);
        const [left, top, right, bottom] = toGraph(dot.getBoundingClientRect());
        return [(left + right) / 2, (top + bottom) / 2];
    };
    const sockets = graph.nodes.flatMap((node) => [
        ...(node.inputs ?? []).map((slot, index) => ({ slot, at: socketAt(node, 'in', index) })),
        ...(node.outputs ?? []).map((slot, index) => ({ slot, at: socketAt(node, 'out', index) })),
    ].filter(({ slot }) => !slot.widget || slot.link != null).map(({ slot, at }) =>
        ({ node: node.id, name: `${named(node)}.${slot.name}`, at: [...at] })));
    const wires = [...graph.links.values()].flatMap((link) => {
        const points = [...(graph.reroutes?.values() ?? [])].filter((each) => each.linkIds.has(link.id));
        return [link, ...points].map((part) => ({ link, path: part.path }));
    });
    const through = wires.flatMap(({ link, path }) => sockets.filter(({ node, at }) =>
        node !== link.origin_id && node !== link.target_id && path && pen.isPointInStroke(path, ...at))
        .map(({ name }) => {
            const [from, to] = [link.origin_id, link.target_id].map((id) => named(graph.getNodeById(id)));
            return `${from} -> ${to} through ${name}`;
        }));
    const [left, top] = canvas.ds.offset;
    return {
        nodes: graph.nodes.map((node) => ({ id: node.id, type: node.type, name: named(node), box: boxOf(node) })),
        groups: graph.groups.map(({ title, color, pos: [x, y], size: [w, h] }) =>
            ({ title, color, box: [x, y, x + w, y + h] })),
        through: [...new Set(through)], drawn: wires.filter(({ path }) => path).length, links: graph.links.size,
        scale, hasText: !canvas.low_quality,
        window: [-left, -top, innerWidth / scale - left, innerHeight / scale - top],
    };
}"""


def measure(comfy):
    """All that the functions below look at, of the graph that is open and in view."""
    return comfy.run(_MEASURE, WIRE_WIDTH)


def overlaps(boxes):
    """Pairs of names whose boxes lie on each other; boxes are left, top, right, bottom."""
    return [
        (one["name"], other["name"]) for one, other in combinations(boxes, 2)
        if all(one["box"][side] + 1 < other["box"][side + 2] and other["box"][side] + 1 < one["box"][side + 2]
               for side in (0, 1))
    ]


def bounds(boxes):
    """Left, top, right and bottom of all."""
    sides = list(zip(*(each["box"] for each in boxes)))
    return min(sides[0]), min(sides[1]), max(sides[2]), max(sides[3])


def lies_in(box, other):
    """Whether a box is within another."""
    return all(box[side] >= other[side] - 1 for side in (0, 1)) and all(box[side] <= other[side] + 1 for side in (2, 3))

/** New nodes and links; nodes are placed where there is no other. */

import { SUBGRAPH_INPUT, inputIndex, linkAt } from "./links.js";

const GAP = 40;
const TITLE = 30;
const MOST_TRIES = 1000;

/** @typedef {{id: string | number, slot: number, after: unknown}} Source where a link comes from, and its reroute */

/**
 * Add a node to a graph, at a position or below it where there is room.
 * @param {object} graph
 * @param {string} type
 * @param {{x: number, y: number, size?: [number, number]}} place `size`: what the node is going to need at least
 * @returns {object}
 */
export function makeNode(graph, type, { x, y, size }) {
  const node = LiteGraph.createNode(type);
  if (!node) throw new Error(type);
  if (size) node.setSize([Math.max(node.size[0], size[0]), Math.max(node.size[1], size[1])]);
  // Before it is added: later moves do not reach every version's Vue nodes.
  node.pos = freeSpot(graph, [x, y], node.size);
  graph.add(node);
  return node;
}

/**
 * The next place straight below a position at which a node of a size covers no other.
 * @returns {[number, number]}
 */
export function freeSpot(graph, [x, y], [width, height]) {
  const boxes = (graph.nodes ?? []).map(({ pos, size }) => [pos[0], pos[1] - TITLE, pos[0] + size[0], pos[1] + size[1]]);
  const covers = (top) => ([left, upper, right, lower]) =>
    left < x + width + GAP && x < right + GAP && upper < top + height + GAP && top - TITLE < lower + GAP;
  let top = y;
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const below = boxes.filter(covers(top)).map(([, , , lower]) => lower + GAP + TITLE);
    if (!below.length) break;
    top = Math.max(top + 1, ...below);
  }
  return [x, top];
}

/** Link the first output of a node to an input of another one; what was linked there is replaced. */
export function link(from, to, name) {
  from.connect(0, to, inputIndex(to, name));
}

/** Where the link at an input comes from, to link it elsewhere too, or null. @returns {Source | null} */
export function sourceAt(node, index) {
  const found = linkAt(node, index);
  return found && { id: found.origin_id, slot: found.origin_slot, after: found.parentId };
}

/** Link what was linked elsewhere to an input. @param {Source} source */
export function linkSource(source, node, index) {
  if (Number(source.id) === SUBGRAPH_INPUT) {
    node.graph.inputNode.slots[source.slot].connect(node.inputs[index], node);
    return;
  }
  node.graph.getNodeById(source.id).connect(source.slot, node, index, source.after);
}

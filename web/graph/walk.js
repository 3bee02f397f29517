/** Following links of the host's graph: reroutes, bypassed and muted nodes, virtual nodes and subgraph borders. */

const MUTED = 2;
const BYPASSED = 4;
const SUBGRAPH_INPUT = -10;
const SUBGRAPH_OUTPUT = -20;
const FARTHEST = 100;

/**
 * Where a link begins.
 * @typedef {{node: object, slot: number}} Origin
 */

/** The index of an input of a node by its name, or -1. */
export function inputIndex(node, name) {
  return (node.inputs ?? []).findIndex((input) => input.name === name);
}

/** The link at an input of a node, or null. */
export function linkAt(node, index) {
  const id = node.inputs?.[index]?.link;
  return id === null || id === undefined ? null : findLink(node.graph, id);
}

function findLink(graph, id) {
  return graph?.getLink?.(id) ?? graph?.links?.get?.(id) ?? graph?.links?.[id] ?? null;
}

/**
 * The node whose output really arrives at an input, as the host will resolve it; null when nothing does.
 * @param {object} node
 * @param {string | number} input name or index
 * @param {object} root the outermost graph
 * @returns {Origin | null}
 */
export function originOf(node, input, root) {
  const index = typeof input === "number" ? input : inputIndex(node, input);
  return follow({ node, index }, root);
}

/**
 * The widget outside a subgraph that an input is promoted to, when nothing is linked there; else null.
 * @returns {{node: object, name: string} | null}
 */
export function promotedTo(node, index, root) {
  let at = { node, index };
  for (let step = 0; step < FARTHEST; step++) {
    const link = linkAt(at.node, at.index);
    const input = at.node.inputs[at.index];
    if (!link) return at.node === node ? null : { node: at.node, name: input.widget?.name ?? input.name };
    const outside = Number(link.origin_id) === SUBGRAPH_INPUT && hostOf(at.node.graph, root);
    if (!outside) return null;
    at = { node: outside, index: link.origin_slot };
  }
  return null;
}

function follow(start, root) {
  let at = start;
  for (let step = 0; step < FARTHEST; step++) {
    const link = linkAt(at.node, at.index);
    if (!link) return null;
    if (Number(link.origin_id) === SUBGRAPH_INPUT) {
      const outside = hostOf(at.node.graph, root);
      if (!outside) return null;
      at = { node: outside, index: link.origin_slot };
      continue;
    }
    const origin = at.node.graph.getNodeById(link.origin_id);
    const next = origin && throughNode(origin, link.origin_slot, typeAt(at));
    if (!next || next.slot !== undefined) return next;
    at = next;
  }
  return null;
}

function typeAt({ node, index }) {
  return node.inputs[index].type;
}

/** The origin itself, the input to go on from when the node only passes on, or null when nothing comes out of it. */
function throughNode(node, slot, type) {
  if (node.mode === MUTED) return null;
  if (node.mode === BYPASSED) return passed(node, bypassIndex(node, slot, type));
  if (node.subgraph) return insideOf(node, slot);
  if (isReroute(node)) return passed(node, 0);
  const virtual = node.isVirtualNode && node.resolveVirtualOutput?.(slot);
  return virtual ? { node: virtual.node, slot: virtual.slot } : { node, slot };
}

function passed(node, index) {
  return index < 0 ? null : { node, index };
}

function isReroute(node) {
  return node.type === "Reroute" || (node.isVirtualNode && node.inputs?.length === 1 && node.outputs?.length === 1);
}

function bypassIndex(node, slot, type) {
  if (node.inputs?.[slot]?.type === type) return slot;
  return (node.inputs ?? []).findIndex((input) => input.type === type);
}

function insideOf(node, slot) {
  const graph = node.subgraph;
  const id = graph.outputs?.[slot]?.linkIds?.[0];
  const link = id === undefined ? null : findLink(graph, id);
  if (!link) return null;
  if (Number(link.origin_id) === SUBGRAPH_INPUT) return { node, index: link.origin_slot };
  const origin = graph.getNodeById(link.origin_id);
  const again = origin && throughNode(origin, link.origin_slot, node.outputs[slot].type);
  return again ?? null;
}

/** The first node that shows a subgraph, seen from the outermost graph; null at the top. */
function hostOf(graph, root) {
  if (!graph || graph === root) return null;
  return allNodes(root).find((node) => node.subgraph === graph) ?? null;
}

/** Every node of a graph and of its subgraphs. @returns {object[]} */
export function allNodes(graph, seen = new Set()) {
  if (!graph || seen.has(graph)) return [];
  seen.add(graph);
  return (graph.nodes ?? []).flatMap((node) => [node, ...allNodes(node.subgraph, seen)]);
}

/**
 * The inputs that an output really arrives at.
 * @returns {{node: object, input: string}[]}
 */
export function targetsOf(node, slot, root, steps = 0) {
  if (steps > FARTHEST) return [];
  const ids = node.outputs?.[slot]?.links ?? [];
  return ids.flatMap((id) => {
    const link = findLink(node.graph, id);
    return link ? targetsOfLink(node.graph, link, root, steps) : [];
  });
}

function targetsOfLink(graph, link, root, steps) {
  if (Number(link.target_id) === SUBGRAPH_OUTPUT) {
    const outside = hostOf(graph, root);
    return outside ? targetsOf(outside, link.target_slot, root, steps + 1) : [];
  }
  const node = graph.getNodeById(link.target_id);
  if (!node || node.mode === MUTED) return [];
  if (node.mode === BYPASSED) return targetsPast(node, link.target_slot, root, steps);
  if (node.subgraph) return targetsInside(node, link.target_slot, root, steps);
  if (isReroute(node)) return targetsOf(node, 0, root, steps + 1);
  return [{ node, input: node.inputs[link.target_slot].name }];
}

function targetsPast(node, slot, root, steps) {
  const out = (node.outputs ?? []).findIndex((output) => output.type === node.inputs[slot].type);
  return out < 0 ? [] : targetsOf(node, out, root, steps + 1);
}

function targetsInside(node, slot, root, steps) {
  const ids = node.subgraph.inputs?.[slot]?.linkIds ?? [];
  return ids.flatMap((id) => {
    const link = findLink(node.subgraph, id);
    return link ? targetsOfLink(node.subgraph, link, root, steps + 1) : [];
  });
}

/** The key under which the host keeps what a node has put out. */
export function outputKey(node) {
  const graph = node.graph;
  return !graph || graph.isRootGraph !== false ? String(node.id) : `${graph.id}:${node.id}`;
}

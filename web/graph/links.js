/** What the host's graph holds: nodes, links, and where a node stands within subgraphs. */

export const MUTED = 2;
export const BYPASSED = 4;
export const SUBGRAPH_INPUT = -10;
export const SUBGRAPH_OUTPUT = -20;

const DEEPEST = 32;
// Its node type shows that cg-use-everywhere is installed; a saved graph keeps that pack's notes even without it.
const BROADCASTER = "Anything Everywhere";

/**
 * A node, and the subgraph nodes through which it is reached, outermost first: one subgraph can stand at several places.
 * @typedef {{node: object, path: object[]}} Place
 */

/** The index of an input of a node by its name, or -1. */
export function inputIndex(node, name) {
  return (node.inputs ?? []).findIndex((input) => input.name === name);
}

/** The link at an input of a node, or null. */
export function linkAt(node, index) {
  if (!node.graph || !node.inputs?.[index]) return null;
  // Nodes of subgraphs and virtual nodes resolve to what they represent.
  return LiteGraph.LGraphNode.prototype.getInputLink.call(node, index) ?? null;
}

/**
 * What cg-use-everywhere will link to an input while it queues; before that the link is only noted in the graph.
 * @param {object} graph
 * @param {string | number} id of the node, or of the subgraph's outputs
 * @param {number} index of the input
 * @returns {{origin_id: string | number, origin_slot: number, by: object} | null} `by` is the node that broadcasts
 */
export function broadcastAt(graph, id, index) {
  if (!LiteGraph.registered_node_types[BROADCASTER]) return null;
  const noted = graph?.extra?.ue_links;
  const found = Array.isArray(noted)
    && noted.find((each) => String(each?.downstream) === String(id) && Number(each.downstream_slot) === index);
  const by = found && graph.getNodeById(found.controller);
  const works = by && by.mode !== MUTED && by.mode !== BYPASSED;
  return works ? { origin_id: found.upstream, origin_slot: Number(found.upstream_slot), by } : null;
}

/** Every node of a graph and of its subgraphs. @returns {object[]} */
export function allNodes(graph, seen = new Set()) {
  if (!graph || seen.has(graph)) return [];
  seen.add(graph);
  return (graph.nodes ?? []).flatMap((node) => [node, ...allNodes(node.subgraph, seen)]);
}

/** Every place where a node will run, those inside of subgraphs once for each way to them. @returns {Place[]} */
export function allPlaces(graph, path = []) {
  if (path.length > DEEPEST) return [];
  const running = (graph?.nodes ?? []).filter(({ mode }) => mode !== MUTED && mode !== BYPASSED);
  return running.flatMap((node) => [{ node, path }, ...allPlaces(node.subgraph, [...path, node])]);
}

/**
 * The place of a node; of several, the first.
 * @param {object | Place} at
 * @param {object} root the outermost graph
 * @returns {Place}
 */
export function placeOf(at, root) {
  return Array.isArray(at.path) ? at : { node: at, path: pathTo(at.graph, root) };
}

function pathTo(graph, root) {
  const path = [];
  for (let inner = graph; inner && inner !== root && path.length < DEEPEST; inner = path[0].graph) {
    const host = allNodes(root).find((node) => node.subgraph === inner);
    if (!host) break;
    path.unshift(host);
  }
  return path;
}

/** The identity of a place, in the host's numbering of nodes that run, e.g. "7:3" for node 3 in the subgraph of node 7. */
export function placeKey({ node, path }) {
  return [...path, node].map(({ id }) => id).join(":");
}

/** The key under which the host keeps a node's outputs. */
export function outputKey(node) {
  const graph = node.graph;
  return !graph || graph.isRootGraph !== false ? String(node.id) : `${graph.id}:${node.id}`;
}

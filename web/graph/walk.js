/** Following the graph as the host does when it makes a prompt of it. */

import { choiceOf } from "./choosers.js";
import { BYPASSED, MUTED, SUBGRAPH_INPUT, SUBGRAPH_OUTPUT, allPlaces, broadcastAt, inputIndex, linkAt, placeOf } from "./links.js";
import { widgetOf } from "./values.js";
import { virtualSource } from "./virtual.js";

export { inputIndex, linkAt, outputKey } from "./links.js";

const FARTHEST = 1000;
const PASSES_ON = /primitive|(string|text)[ _-]?(constant|literal|multiline|box)/i;

/**
 * Where something comes from.
 * @typedef {object} Origin
 * @property {object} node
 * @property {object[]} path see Place
 * @property {number} slot of the node's outputs
 * @property {object | null} by the node that broadcasts it to free inputs, where that happens
 */

/**
 * The node whose output arrives at an input, as the host will resolve it; null when nothing does.
 * @param {object | import("./links.js").Place} at
 * @param {string | number} input name or index
 * @param {object} root the outermost graph
 * @returns {Origin | null}
 */
export function originOf(at, input, root) {
  const place = placeOf(at, root);
  const index = typeof input === "number" ? input : inputIndex(place.node, input);
  const end = arriving({ ...place, index }, tripIn(root));
  return end?.widget ? null : end;
}

/**
 * The muted or bypassed node for which nothing arrives at an input that is linked; null when there is none.
 * @param {import("./links.js").Place} place
 * @param {string} input name
 * @param {object} root the outermost graph
 * @returns {Origin | null}
 */
export function pausedAt(place, input, root) {
  const index = inputIndex(place.node, input);
  if (!linkAt(place.node, index)) return null;
  const trip = tripIn(root);
  return arriving({ ...place, index }, trip) ? null : trip.paused;
}

/**
 * A value of a node as far as the page knows it.
 * @param {object | import("./links.js").Place} at
 * @param {string} name of a widget
 * @param {object} root the outermost graph
 * @returns {{value: unknown, linked: boolean, known: boolean, from: object | null,
 *   holder: {node: object, widget: object} | null}} `from`: the node that it comes from; `holder`: what holds it, if known
 */
export function valueOf(at, name, root) {
  return valueAt({ ...placeOf(at, root), name }, tripIn(root));
}

/**
 * The inputs that an output arrives at, those of its own type, in the order in which their nodes were made.
 * @returns {{node: object, path: object[], input: string}[]}
 */
export function targetsOf(node, slot, root) {
  const { type } = node.outputs[slot];
  const reached = allPlaces(root).flatMap((place) => (place.node.inputs ?? []).flatMap((input, index) => {
    const origin = input.type === type && !place.node.subgraph ? originOf(place, index, root) : null;
    return origin?.node === node && origin.slot === slot ? [{ ...place, input: input.name }] : [];
  }));
  return reached.sort((one, other) => Number(one.node.id) - Number(other.node.id));
}

/** What is remembered on the way: the steps of all its branches, who broadcasts, and what muted nodes were met. */
function tripIn(root) {
  return { root, walked: { steps: 0 }, by: null, muted: false, paused: null };
}

/** What arrives at an input: an Origin, the widget of a subgraph's node that it is promoted to, or null. */
function arriving(at, trip) {
  const { node, path, index, type = node.inputs?.[index]?.type } = at;
  if (++trip.walked.steps > FARTHEST || !node.inputs?.[index]) return null;
  const link = linkAt(node, index);
  const end = link && outOfLink({ graph: node.graph, path, link, type }, trip);
  return end ?? arrivingByBroadcast({ graph: node.graph, id: node.id, path, index, type }, trip);
}

function arrivingByBroadcast({ graph, id, path, index, type }, trip) {
  const broadcast = broadcastAt(graph, id, index);
  if (!broadcast) return null;
  const before = trip.by;
  trip.by = broadcast.by;
  const end = outOfLink({ graph, path, link: broadcast, type }, trip);
  if (!end) trip.by = before;
  return end;
}

function outOfLink({ graph, path, link, type }, trip) {
  if (Number(link.origin_id) !== SUBGRAPH_INPUT) {
    const node = graph.getNodeById(link.origin_id);
    return node ? outOf({ node, path, slot: link.origin_slot, type }, trip) : null;
  }
  const outer = path.at(-1);
  if (!outer) return null;
  const place = { node: outer, path: path.slice(0, -1), index: link.origin_slot };
  return arriving(place, trip) ?? promoted(place);
}

/** The widget outside of a subgraph, when nothing is linked there. */
function promoted({ node, path, index }) {
  const input = node.inputs?.[index];
  if (!input || linkAt(node, index)) return null;
  const widget = node.getWidgetFromSlot?.(input) ?? widgetOf(node, input.widget?.name ?? input.name);
  return widget ? { widget, node, path } : null;
}

function outOf(at, trip) {
  const { node, path, slot, type } = at;
  trip.muted ||= node.mode === MUTED;
  if (node.mode === MUTED || node.mode === BYPASSED) trip.paused ??= { node, path, slot, by: null };
  if (++trip.walked.steps > FARTHEST || node.mode === MUTED) return null;
  if (node.mode === BYPASSED) return arriving({ node, path, index: bypassIndex(node, slot, type) }, trip);
  if (node.subgraph) return outOfSubgraph(at, trip);
  if (node.isVirtualNode) return outOfVirtual(at, trip);
  const choice = choiceOf(node, slot, (name) => valueAt({ node, path, name }, trip));
  return choice ? firstArriving(at, choice, trip) : { node, path, slot, by: trip.by };
}

function firstArriving({ node, path }, indexes, trip) {
  for (const index of indexes) {
    const end = arriving({ node, path, index }, trip);
    if (end) return end;
  }
  return null;
}

/** Which input a bypassed node passes on to an output. */
function bypassIndex(node, slot, type) {
  const inputs = node.inputs ?? [];
  if (type === "*" || type === "") return inputs.length > slot ? slot : 0;
  const fits = (input) => input && [node.outputs[slot].type, type].every((each) => LiteGraph.isValidConnection(input.type, each));
  if (fits(inputs[slot])) return slot;
  const same = inputs.findIndex((input) => input.type === type);
  return same < 0 ? inputs.findIndex(fits) : same;
}

function outOfSubgraph({ node, path, slot, type }, trip) {
  const graph = node.subgraph;
  const inside = [...path, node];
  const link = graph.outputNode?.slots?.[slot]?.getLinks?.()[0];
  const end = link && outOfLink({ graph, path: inside, link, type }, trip);
  return end ?? arrivingByBroadcast({ graph, id: SUBGRAPH_OUTPUT, path: inside, index: slot, type }, trip);
}

function outOfVirtual(at, trip) {
  const { node, path, slot, type } = at;
  const source = virtualSource(node, slot, trip.root);
  // A primitive leads nowhere, but writes its own value into what it is linked to.
  if (!source) return typeof node.applyToGraph === "function" ? { node, path, slot, by: trip.by } : null;
  const place = { node: source.node, path: pathAround(source.node, path, trip.root), type };
  return source.index === undefined ? outOf({ ...place, slot: source.slot }, trip) : arriving({ ...place, index: source.index }, trip);
}

/** The path to a node of one of the graphs that a path leads through. */
function pathAround(node, path, root) {
  const depth = [root, ...path.map(({ subgraph }) => subgraph)].lastIndexOf(node.graph);
  return depth < 0 ? placeOf(node, root).path : path.slice(0, depth);
}

function valueAt({ node, path, name }, trip) {
  const own = widgetOf(node, name);
  const index = inputIndex(node, name);
  const linked = index >= 0 && linkAt(node, index) !== null;
  const way = { ...trip, by: null, muted: false };
  const end = arriving({ node, path, index }, way);
  // The prompt has a node's own value where a link leads nowhere, but not every host does so behind a muted node.
  if (!end) {
    const known = own !== null && !way.muted;
    return { value: own?.value, linked, known, from: node, holder: known ? { node, widget: own } : null };
  }
  const source = end.widget ?? onlyText(end.node);
  const holder = source ? { node: end.node, widget: source } : null;
  return { value: source?.value, linked: true, known: Boolean(source), from: end.node, holder };
}

/** What a node holds that only passes on a text or a number of its own; others may make something else of it. */
function onlyText(node) {
  if (!PASSES_ON.test(node.comfyClass ?? node.type ?? "")) return null;
  const held = (node.widgets ?? []).filter((widget) => widget.serialize !== false && widget.type !== "button");
  const kept = held.filter((widget) => widget.name !== "control_after_generate" && widget.name !== "control_filter_list");
  const linked = (node.inputs ?? []).some((_, index) => linkAt(node, index) !== null);
  return kept.length === 1 && !linked ? kept[0] : null;
}

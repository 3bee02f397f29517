/** Nodes that are only on the page, such as reroutes and pairs of Set and Get: the host asks them what they represent. */

import { allNodes, linkAt } from "./links.js";

/** @type {WeakMap<object, string>} what the virtual nodes were like when one of them led nowhere */
const misses = new WeakMap();

/**
 * What a virtual node represents: an output of another node, or an input whose link it uses; null when it leads nowhere.
 * Some say so in a toast, so they are asked again only when a virtual node is different.
 * @param {object} node
 * @param {number} slot of its outputs
 * @param {object} root the outermost graph
 * @returns {{node: object, slot: number} | {node: object, index: number} | null}
 */
export function virtualSource(node, slot, root) {
  if (misses.has(node) && misses.get(node) === stateOf(slot, root)) return null;
  const found = ask(node, slot);
  if (found) misses.delete(node);
  else misses.set(node, stateOf(slot, root));
  return found;
}

function ask(node, slot) {
  try {
    const source = node.resolveVirtualOutput?.(slot);
    if (source) return { node: source.node, slot: source.slot };
    const link = node.getInputLink(slot);
    const target = link && node.graph.getNodeById(link.target_id);
    return target ? { node: target, index: link.target_slot } : null;
  } catch {
    // As in the prompt, it yields nothing.
    return null;
  }
}

function stateOf(slot, root) {
  const virtual = allNodes(root).filter((node) => node.isVirtualNode);
  return JSON.stringify([slot, virtual.map((node) => [
    node.graph?.id, node.id, node.mode, (node.widgets ?? []).map(({ value }) => value),
    (node.inputs ?? []).map((_, index) => linkAt(node, index)?.id),
  ])]);
}

/** Reading and writing ordinary widget values, each change one step of undo. */

import { inputIndex, linkAt, originOf, promotedTo } from "./walk.js";

const PASSES_ON = /primitive|(string|text)[ _-]?(constant|literal|multiline|box)/i;

/** The widget of a node by its name. */
export function widgetOf(node, name) {
  return node?.widgets?.find((widget) => widget.name === name) ?? null;
}

/**
 * A value of a node as far as the page knows it.
 * @returns {{value: unknown, linked: boolean, known: boolean, from: object | null}} `from`: the node that it comes from
 */
export function valueOf(node, name, root) {
  const widget = widgetOf(node, name);
  const index = inputIndex(node, name);
  if (index < 0 || !linkAt(node, index)) {
    return { value: widget?.value, linked: false, known: widget !== null, from: node };
  }
  const origin = originOf(node, index, root);
  const outer = origin ? null : promotedTo(node, index, root);
  const source = origin ? onlyText(origin.node) : outer && widgetOf(outer.node, outer.name);
  return { value: source?.value, linked: true, known: Boolean(source), from: origin?.node ?? outer?.node ?? null };
}

/** What a node holds that only passes on a text or a number of its own; others may make something else of it. */
function onlyText(node) {
  if (!PASSES_ON.test(node.comfyClass ?? node.type ?? "")) return null;
  const held = (node.widgets ?? []).filter((widget) => widget.serialize !== false && widget.type !== "button");
  const kept = held.filter((widget) => widget.name !== "control_after_generate" && widget.name !== "control_filter_list");
  const linked = (node.inputs ?? []).some((input) => input.link !== null && input.link !== undefined);
  return kept.length === 1 && !linked ? kept[0] : null;
}

/** Set the value of a widget as its own control would. */
export function setValue(node, name, value) {
  const widget = widgetOf(node, name);
  if (!widget || widget.value === value) return;
  const before = widget.value;
  widget.value = value;
  widget.callback?.(value);
  node.onWidgetChanged?.(name, value, before, widget);
  node.graph?.setDirtyCanvas?.(true, true);
}

/**
 * Do something to the graph as one step of undo.
 * @template T
 * @param {{app: object}} host
 * @param {() => T} change
 * @returns {T}
 */
export function asOneStep(host, change) {
  const { canvas } = host.app;
  canvas?.emitBeforeChange?.();
  try {
    return change();
  } finally {
    canvas?.emitAfterChange?.();
    canvas?.setDirty?.(true, true);
  }
}

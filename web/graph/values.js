/** Widgets of nodes, and writing their values, each change one step of undo. */

/** The widget of a node by its name. */
export function widgetOf(node, name) {
  return node?.widgets?.find((widget) => widget.name === name) ?? null;
}

/** Set the value of a node's widget by its name, as its own control would. */
export function setValue(node, name, value) {
  setWidget({ node, widget: widgetOf(node, name) }, value);
}

/** Set the value of a widget as its own control would. @param {{node: object, widget: object | null}} holder */
export function setWidget({ node, widget }, value) {
  if (!widget || widget.value === value) return;
  const before = widget.value;
  widget.value = value;
  widget.callback?.(value);
  node.onWidgetChanged?.(widget.name, value, before, widget);
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

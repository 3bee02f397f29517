/** Few users need the occurrence of a phrase, so it is an advanced input while it is 0. */

import { inputIndex, linkAt } from "./graph/walk.js";

/** Hide the occurrences of a node, and show each as soon as it is used. */
export function foldOccurrences(node) {
  const own = (node.widgets ?? []).filter(({ name }) => /(^|_)occurrence$/.test(name));
  if (!own.length) return;
  const update = () => show(node, own);
  for (const widget of own) {
    const { callback } = widget;
    widget.callback = function (...given) {
      const answer = callback?.apply(this, given);
      update();
      return answer;
    };
  }
  for (const event of ["onConfigure", "onConnectionsChange"]) {
    const before = node[event];
    node[event] = function (...given) {
      const answer = before?.apply(this, given);
      update();
      return answer;
    };
  }
  update();
}

function show(node, own) {
  let changed = false;
  for (const widget of own) {
    const index = inputIndex(node, widget.name);
    const folded = Number(widget.value) === 0 && !(node.graph && index >= 0 && linkAt(node, index));
    changed ||= Boolean(widget.advanced) !== folded;
    widget.advanced = folded;
    if (widget.options) widget.options.advanced = folded;
  }
  if (!changed) return;
  // Vue nodes read the state of their widgets again only if the list is a different object.
  node.widgets = [...node.widgets];
  node.expandToFitContent?.();
  node.setDirtyCanvas?.(true, true);
}

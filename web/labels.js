/** The names that inputs are shown by, on pages that would show their ids or cut them. */

import { every, whileInGraph } from "./view.js";
import { widestName } from "./widths.js";

const WATCH_MILLISECONDS = 500;

/** Give every widget of a node the name that its definition has; names set by a user or a language are kept. */
export function nameWidgets(node) {
  const inputs = definitionsOf(node);
  for (const widget of node.widgets ?? []) {
    const name = inputs[widget.name]?.[1]?.display_name;
    if (name && (widget.label ?? widget.name) === widget.name) widget.label = name;
  }
}

/**
 * Vue nodes leave out what a definition says of an empty text field, and those of earlier pages give every name 80 pixels:
 * a field gets its text, and a node as much as its longest name needs.
 */
export function correctVueNode(node) {
  const inputs = definitionsOf(node);
  const hints = Object.entries(inputs).filter(([, [, options]]) => options?.placeholder);
  let names = null;
  whileInGraph(node, (signal) => every(WATCH_MILLISECONDS, signal, () => {
    // The page can make the element anew at any time.
    const element = LiteGraph.vueNodesMode ? document.querySelector(`[data-node-id="${node.id}"]`) : null;
    if (!element) return;
    names ??= `${widestName(node)}px`;
    if (!element.style.getPropertyValue("--lumosx-names")) element.style.setProperty("--lumosx-names", names);
    for (const [name, [, { placeholder }]] of hints) {
      const field = element.querySelector(`textarea[aria-label="${name}"], [data-widget-name="${name}"] textarea`);
      if (field && field.placeholder !== placeholder) field.placeholder = placeholder;
    }
  }));
}

function definitionsOf(node) {
  const { required, optional } = node.constructor.nodeData?.input ?? {};
  return { ...required, ...optional };
}

/** The names that inputs are shown by, on pages that would show their ids. */

/** Give every widget of a node the name that its definition has; names set by a user or a language are kept. */
export function nameWidgets(node) {
  const { required, optional } = node.constructor.nodeData?.input ?? {};
  const inputs = { ...required, ...optional };
  for (const widget of node.widgets ?? []) {
    const name = inputs[widget.name]?.[1]?.display_name;
    if (name && (widget.label ?? widget.name) === widget.name) widget.label = name;
  }
}

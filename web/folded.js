/**
 * Inputs that few users need are folded away: which occurrence of a phrase is meant, and how strongly and in which steps
 * a picture acts. Each is shown once it is set or linked, and all where the page's own "Show advanced" asks for them.
 */

import { inputIndex, linkAt } from "./graph/walk.js";

const OCCURRENCE = /(^|_)occurrence$/;
const INFLUENCE = /^(face_|attribute_\d_|)(strength|start_percent|end_percent)$/;
const SCENE_NODES = ["LumosX_Subject", "LumosX_Object", "LumosX_Background"];

// Height of a widget's line, and what canvas nodes leave between two.
const LINE = [20, 4];
// Pages that know this setting fold advanced inputs of Vue nodes; before, they showed them all.
const ADVANCED_SETTING = "Comfy.Node.AlwaysShowAdvancedWidgets";

/** Fold the seldom-used inputs of a node, and show each as soon as it is used. @param {{app: object}} host */
export function foldInputs(node, { app }) {
  const own = foldable(node);
  if (!own.length) return;
  const defaults = new Map(own.map((widget) => [widget.name, widget.value]));
  const foldsInVue = app.extensionManager?.setting?.get(ADVANCED_SETTING) !== undefined;
  const update = () => fold(node, foldable(node), defaults, foldsInVue);
  for (const widget of own) {
    const { callback } = widget;
    // Canvas nodes would keep a line free for each, whether it can be seen or not.
    widget.computeSize = (width = 0) => (node.isWidgetVisible(widget) ? [width, LINE[0]] : [0, -LINE[1]]);
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
  // The page has just given it the height of all its inputs.
  node.setSize?.([node.size[0], node.computeSize()[1]]);
}

function foldable(node) {
  const isControl = SCENE_NODES.includes(node.comfyClass) ? INFLUENCE : null;
  return (node.widgets ?? []).filter(({ name }) => OCCURRENCE.test(name) || isControl?.test(name));
}

function fold(node, own, defaults, foldsInVue) {
  let changed = false;
  for (const widget of own) {
    const folded = Number(widget.value) === Number(defaults.get(widget.name)) && !isLinked(node, widget.name);
    // What belongs to a picture that is not there would only be in the way of the others.
    const isOptional = folded && INFLUENCE.test(widget.name);
    const hidden = isOptional && !hasPicture(node, widget.name);
    const hiddenInVue = hidden || (isOptional && !foldsInVue && !node.showAdvanced);
    changed = set(widget, { advanced: folded, hidden }, { advanced: folded, hidden: hiddenInVue }) || changed;
  }
  if (!changed) return;
  // Vue nodes read the state of their widgets again only if the list is a different object.
  node.widgets = [...node.widgets];
  node.expandToFitContent?.();
  node.setDirtyCanvas?.(true, true);
}

/** Canvas nodes read a widget, Vue nodes its options. @returns {boolean} whether anything is different now */
function set(widget, own, options) {
  const differs = (held, values) => Object.entries(values).some(([name, value]) => Boolean(held?.[name]) !== value);
  const changed = differs(widget, own) || differs(widget.options, options);
  Object.assign(widget, own);
  if (widget.options) Object.assign(widget.options, options);
  return changed;
}

function isLinked(node, name) {
  const index = inputIndex(node, name);
  return Boolean(node.graph) && index >= 0 && linkAt(node, index) !== null;
}

/** Whether the picture that an input belongs to is linked; those of the whole node always have one. */
function hasPicture(node, name) {
  const [, prefix] = INFLUENCE.exec(name);
  return !prefix || isLinked(node, prefix.slice(0, -1));
}

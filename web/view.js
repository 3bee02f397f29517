/** A DOM widget that shows something and has no value, in classic nodes and in Vue nodes. */

import { outputKey } from "./graph/links.js";

const TICK_MILLISECONDS = 250;
// Hosts remove nodes and read files before they create them again.
const LEFT_MILLISECONDS = 10_000;
// Above and below a DOM widget in a classic node.
const MARGINS = 20;
const LOW = 40;
// By this class some hosts know what grows with a node.
const EXPANDS = "widget-expands";

/**
 * Put a view onto a node of ours.
 * @param {object} node
 * @param {{name: string, type: string, element: HTMLElement, scroll: HTMLElement, host: {app: object},
 *   leastHeight: () => number, tick: () => void, remove: () => void}} view `tick` runs a few times a second while the
 *   element can be seen
 * @returns {object} its widget
 */
export function addView(node, view) {
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => view.leastHeight() + MARGINS, getValue: () => "", setValue() {} };
  const widget = node.addDOMWidget(view.name, view.type, view.element, options);
  // The one is read when a workflow is saved, the other when it is queued.
  widget.serialize = false;
  view.element.style.setProperty("--lumosx-least-height", `${view.leastHeight()}px`);
  whileInGraph(node, (signal) => {
    takePlaceOf(node, view);
    keepToItself(view, signal);
    every(TICK_MILLISECONDS, signal, () => isSeen(view.element) && view.tick());
    signal.addEventListener("abort", () => {
      leavePlace(node, view);
      view.remove();
    });
  });
  return widget;
}

/** @type {Map<string, HTMLElement>} the elements of views that have just left the graph, by node and name */
const left = new Map();

/** Vue nodes do not notice if undo creates a node again: they keep showing the element of the removed node. */
function takePlaceOf(node, { name, element }) {
  const before = left.get(placeOf(node, name));
  if (before?.isConnected && before !== element) before.replaceWith(element);
}

function leavePlace(node, { name, element }) {
  const place = placeOf(node, name);
  left.set(place, element);
  setTimeout(() => left.get(place) === element && left.delete(place), LEFT_MILLISECONDS);
}

function placeOf(node, name) {
  return `${outputKey(node)}:${name}`;
}

/** Keep a text field to about two lines in classic nodes, so that the others get what is free. */
export function keepLow(widget) {
  if (widget?.options) widget.options.getMaxHeight = () => LOW + MARGINS;
}

/**
 * Take a view's room away until it is shown: it has to be there from the start, since some hosts never draw a widget
 * that comes later.
 */
export function fold(widget, element) {
  element.hidden = true;
  element.classList.remove(EXPANDS);
  // The host adds 4 pixels to what this says, and asks it before anything else.
  widget.computeSize = () => [0, -4];
  widget.computeLayoutSize = undefined;
}

/** Show a folded view. */
export function unfold(node, widget, element, leastHeight) {
  delete widget.computeSize;
  delete widget.computeLayoutSize;
  element.style.setProperty("--lumosx-least-height", `${leastHeight}px`);
  element.classList.add(EXPANDS);
  element.hidden = false;
  // Vue nodes read the state of their widgets again only if the list is a different object.
  node.widgets = [...node.widgets];
  node.setDirtyCanvas?.(true, true);
}

/**
 * Do something from when a node comes into a graph until it leaves it. Nodes that never do, such as copies on the
 * clipboard, are left alone.
 * @param {object} node
 * @param {(signal: AbortSignal) => void} start
 */
export function whileInGraph(node, start) {
  let over = null;
  const begin = () => {
    over?.abort();
    over = new AbortController();
    start(over.signal);
  };
  const { onAdded, onRemoved } = node;
  node.onAdded = function (...given) {
    begin();
    return onAdded?.apply(this, given);
  };
  node.onRemoved = function (...given) {
    over?.abort();
    return onRemoved?.apply(this, given);
  };
  if (node.graph) begin();
}

/** Do something again and again until a signal. */
export function every(milliseconds, signal, run) {
  const timer = setInterval(run, milliseconds);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function isSeen(element) {
  return element.isConnected && document.visibilityState === "visible" && element.getClientRects().length > 0;
}

/** The canvas must not handle these events itself: drags, shortcuts, and wheels while there is more to see. */
function keepToItself({ element, scroll, host }, signal) {
  const listen = (name, handler) => element.addEventListener(name, handler, { signal });
  for (const name of ["pointerdown", "pointermove", "pointerup"]) listen(name, (event) => passOrKeep(event, host));
  listen("keydown", keepKeys);
  listen("keyup", keepKeys);
  element.addEventListener("wheel", (event) => keepWheel(event, scroll, host), { signal, passive: false });
}

function passOrKeep(event, { app }) {
  const middle = event.button === 1 || event.buttons & 4;
  if (!middle) return void event.stopPropagation();
  const handler = { pointerdown: "processMouseDown", pointermove: "processMouseMove", pointerup: "processMouseUp" }[event.type];
  app.canvas[handler]?.(event);
}

function keepKeys(event) {
  const typing = event.target.matches("input, select, textarea");
  const ours = ["Enter", " ", "Escape", "Delete", "Backspace", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End"];
  // Where a picture can be pasted, the canvas would paste its nodes.
  const pastes = event.key.toLowerCase() === "v" && (event.ctrlKey || event.metaKey);
  const queues = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  if (!queues && (typing || pastes || ours.includes(event.key))) event.stopPropagation();
}

function keepWheel(event, scroll, { app }) {
  const down = event.deltaY > 0;
  const room = [event.target.closest(".lumosx-prompt"), scroll].some((box) => box && hasRoom(box, down));
  if (room && !event.ctrlKey && !event.metaKey) return void event.stopPropagation();
  // Classic widgets lie beside the canvas, not in it, and would swallow its zoom.
  if (isClassic(event.currentTarget)) {
    event.preventDefault();
    app.canvas.processMouseWheel(event);
  }
}

function isClassic(element) {
  return element.closest(".dom-widget") !== null;
}

function hasRoom(box, down) {
  if (box.scrollHeight <= box.clientHeight + 1) return false;
  return down ? box.scrollTop + box.clientHeight < box.scrollHeight - 1 : box.scrollTop > 0;
}

/** Dragging a chip with a pointer: a ghost of its own, captured, ended by Escape. */

import { make, setText } from "../dom.js";

const FAR_ENOUGH = 5;

/**
 * Where something is dragged to.
 * @typedef {object} Target
 * @property {HTMLElement | null} element null where it cannot be dropped
 * @property {"swap" | "move" | null} kind
 * @property {string} text what a drop does, or why it cannot be
 * @property {(() => void) | null} drop
 */

const KINDS = ["lumosx-swap", "lumosx-move"];

/**
 * Follow a pointer from its press on a chip to its release.
 * @param {PointerEvent} start
 * @param {{ghost: {badge: string, hue: string, text: string, image: string | null},
 *   targetAt: (element: Element | null, point: {x: number, y: number}) => Target | null}} options
 */
export function drag(start, { ghost, targetAt }) {
  const source = start.currentTarget;
  const over = new AbortController();
  const state = { ghost: null, target: null };
  // On the window, since the chip or its whole board can be gone before the pointer is released.
  const listen = (name, handler) => window.addEventListener(name, handler, { capture: true, signal: over.signal });
  listen("pointermove", (event) => {
    if (source.isConnected) follow(event, start, state, ghost, targetAt);
    else finish(state, over, source, false);
  });
  listen("pointerup", () => finish(state, over, source, true));
  for (const name of ["pointercancel", "lostpointercapture"]) listen(name, () => finish(state, over, source, false));
  listen("keydown", (event) => escape(event, state, over, source));
}

function escape(event, state, over, source) {
  if (event.key !== "Escape") return;
  event.preventDefault();
  event.stopPropagation();
  finish(state, over, source, false);
}

function follow(event, start, state, ghost, targetAt) {
  const distance = Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY);
  if (!state.ghost && distance < FAR_ENOUGH) return;
  // Not before: a captured pointer's click would never reach the thumbnail that was pressed.
  if (!state.ghost) start.target.closest(".lumosx-line, .lumosx-face").setPointerCapture(event.pointerId);
  state.ghost ??= makeGhost(ghost);
  state.ghost.style.transform = `translate(${event.clientX + 10}px, ${event.clientY + 8}px)`;
  const target = targetAt(document.elementFromPoint(event.clientX, event.clientY), { x: event.clientX, y: event.clientY });
  if (target?.element !== state.target?.element) {
    unmark(state.target);
    target?.element?.classList.add("lumosx-target", `lumosx-${target.kind}`);
  }
  setText(state.ghost.lastElementChild, target?.text ?? "");
  state.target = target;
}

function unmark(target) {
  target?.element?.classList.remove("lumosx-target", ...KINDS);
}

function makeGhost({ badge, hue, text, image }) {
  const picture = image ? [make("img", "", { src: image, alt: "" })] : [];
  const words = [make("span", "lumosx-badge", {}, badge), make("span", "", {}, text)];
  const line = make("div", "lumosx-dragged", {}, ...picture, ...words);
  const ghost = make("div", `lumosx-ghost ${hue}`, { "aria-hidden": "true" }, line, make("div", "lumosx-drop"));
  document.body.append(ghost);
  return ghost;
}

function finish(state, over, source, drop) {
  over.abort();
  const dragged = state.ghost !== null;
  state.ghost?.remove();
  unmark(state.target);
  if (dragged) swallowClick(source);
  if (drop && dragged) state.target?.drop?.();
}

/** The click that follows the release would open the menu. */
function swallowClick(source) {
  const once = new AbortController();
  source.addEventListener("click", (event) => event.stopPropagation(), { capture: true, signal: once.signal });
  setTimeout(() => once.abort(), 0);
}

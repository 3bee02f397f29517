/** Strength and steps of a reference: what they are on its node, a small panel with sliders, and their words. */

import { make } from "../dom.js";
import { asOneStep, setValue, widgetOf } from "../graph/values.js";
import { inputIndex, linkAt } from "../graph/walk.js";
import { say } from "../words.js";

/** What a reference has without any setting; also the order of the sliders. */
export const FULL = { strength: 1, start: 0, end: 1 };
// The sliders; nodes take strengths up to 10.
const RANGES = { strength: [0, 2, 0.05], start: [0, 1, 0.01], end: [0, 1, 0.01] };
const INPUTS = { strength: "strength", start: "start_percent", end: "end_percent" };

/** The names of a picture's inputs on its node, by the name of its image input. @returns {Record<string, string>} */
export function influenceInputs(image) {
  // The only picture of a node, and a full body, have the inputs of the whole node.
  const prefix = image === "image" || image === "full_body" ? "" : `${image}_`;
  return Object.fromEntries(Object.entries(INPUTS).map(([name, input]) => [name, prefix + input]));
}

/** What is set for a reference, in words; empty if nothing is. @param {{strength?: number, start?: number, end?: number}} set */
export function influenceNotes({ strength = 1, start = 0, end = 1 }) {
  const percent = (share) => Number((100 * share).toPrecision(4));
  return [
    ...(strength === 1 ? [] : [say("influence_strength", { strength })]),
    ...(start === 0 && end === 1 ? [] : [say("influence_steps", { start: percent(start), end: percent(end) })]),
  ];
}

/** The menu entry of a reference that opens its sliders; none where its node has no such inputs. */
export function influenceEntries(reference, anchor, host) {
  const { node, slot, shown } = reference;
  if (!node || !slot || !shown || !widgetOf(node, influenceInputs(slot.image).strength)) return [];
  return [{ text: say("influence"), run: () => openInfluence(reference, anchor, host) }];
}

function openInfluence({ node, slot, phrase }, anchor, host) {
  const panel = make("div", "lumosx-menu lumosx-influence", { role: "dialog", tabindex: "-1", "aria-label": `${say("influence")} ${phrase}` });
  const over = new AbortController();
  const close = (back) => {
    if (over.signal.aborted) return;
    over.abort();
    panel.remove();
    if (back) anchor.focus();
  };
  for (const [name, input] of Object.entries(influenceInputs(slot.image))) panel.append(slider(name, node, input, host));
  panel.append(make("div", "lumosx-quiet", {}, say("influence_untrained")));
  panel.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") close(true);
  }, { signal: over.signal });
  panel.addEventListener("focusout", (event) => panel.contains(event.relatedTarget) || close(false), { signal: over.signal });
  for (const name of ["pointerdown", "contextmenu", "wheel"]) panel.addEventListener(name, (event) => event.stopPropagation());
  document.body.append(panel);
  place(panel, anchor);
  panel.querySelector("input").focus();
}

function slider(name, node, input, host) {
  const [min, max, step] = RANGES[name];
  const value = Number(widgetOf(node, input).value);
  const shown = make("output", "", {}, String(value));
  const field = make("input", "", { type: "range", min, max: Math.max(max, value), step, value, name: input });
  // What is linked comes from the other node.
  field.disabled = linkAt(node, inputIndex(node, input)) !== null;
  field.addEventListener("input", () => (shown.textContent = field.value));
  field.addEventListener("change", () => asOneStep(host, () => setValue(node, input, Number(field.value))));
  return make("label", "", {}, make("span", "", {}, say(`influence_${name}_name`)), field, shown);
}

function place(panel, anchor) {
  const { left, bottom, top } = anchor.getBoundingClientRect();
  const { width, height } = panel.getBoundingClientRect();
  const below = bottom + height + 8 < window.innerHeight;
  panel.style.left = `${Math.max(4, Math.min(left, window.innerWidth - width - 8))}px`;
  panel.style.top = `${Math.max(4, below ? bottom + 4 : top - height - 4)}px`;
}

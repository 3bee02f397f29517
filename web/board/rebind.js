/** Moving a picture with all that belongs to it to another place of the graph: link, words, strength and steps. */

import { linkSource, sourceAt } from "../graph/build.js";
import { setValue, widgetOf } from "../graph/values.js";
import { inputIndex, linkAt } from "../graph/walk.js";
import { FULL, influenceInputs } from "./influence.js";
import { attributeSlot } from "./scene.js";

/** @typedef {{node: object, slot: {image: string, phrase: string, occurrence: string}}} Place */

/** The first free attribute of a person's node, or null. @returns {Place | null} */
export function freePlace(node) {
  for (const number of [1, 2, 3]) {
    const slot = attributeSlot(number);
    const phrase = String(widgetOf(node, slot.phrase)?.value ?? "");
    if (inputIndex(node, slot.image) >= 0 && !isLinked(node, slot.image) && !isLinked(node, slot.phrase) && !phrase.trim()) {
      return { node, slot };
    }
  }
  return null;
}

function isLinked(node, name) {
  const index = inputIndex(node, name);
  return index >= 0 && linkAt(node, index) !== null;
}

/**
 * The free slot of a person that a reference can go to, or null; what is there already is never moved away.
 * @returns {Place | null}
 */
export function placeAt(reference, person) {
  if (!person.node || person.readOnly || person.node === reference.node || reference.kind !== "attribute") return null;
  if (person.node.graph !== reference.node.graph || !isSlot(reference)) return null;
  return freePlace(person.node);
}

function isSlot(reference) {
  return reference.slot.image.startsWith("attribute_");
}

/** Whether two references can change places. */
export function canSwap(one, other) {
  const both = [one, other].every((each) => each.node && each.slot && !each.full_body && ["attribute", "object"].includes(each.kind));
  return both && one.id !== other.id && one.node.graph === other.node.graph;
}

/**
 * Exchange the contents of two places; with an empty place it is a move.
 * @param {Place} one
 * @param {Place} other
 */
export function exchange(one, other) {
  const [first, second] = [take(one), take(other)];
  put(other, first);
  put(one, second);
}

const DEFAULTS = { phrase: "", occurrence: 0, ...FULL };

/** The contents of a place; its links are removed. */
function take({ node, slot }) {
  const held = { values: {}, links: {} };
  const inputs = inputsOf(slot);
  for (const name of Object.keys(DEFAULTS)) held.values[name] = widgetOf(node, inputs[name])?.value;
  for (const [name, input] of Object.entries(inputs)) {
    const index = inputIndex(node, input);
    const source = index < 0 ? null : sourceAt(node, index);
    if (!source) continue;
    held.links[name] = source;
    node.disconnectInput(index, true);
  }
  return held;
}

function put({ node, slot }, { values, links }) {
  const inputs = inputsOf(slot);
  for (const [name, value] of Object.entries(values)) setValue(node, inputs[name], value ?? DEFAULTS[name]);
  for (const [name, source] of Object.entries(links)) linkSource(source, node, inputIndex(node, inputs[name]));
}

/** All that belongs to a picture and moves with it. */
function inputsOf(slot) {
  return { ...slot, ...influenceInputs(slot.image) };
}

/** Nodes of the host and of other packs that only pass on one of their inputs. */

import { inputIndex } from "./links.js";

/**
 * How a node chooses: the inputs to try in their order, the first with something passes; null when only a run knows.
 * @typedef {(node: object, value: (name: string) => {value: unknown, known: boolean}, slot: number) => number[] | null} Choice
 */

/** @type {Record<string, Choice>} */
const CHOICES = {
  "Any Switch (rgthree)": firstOf("any_"),
  ComfySwitchNode: either("switch", "on_true", "on_false"),
  ComfySoftSwitchNode: withStandIn(either("switch", "on_true", "on_false")),
  LazySwitchKJ: either("switch", "on_true", "on_false"),
  "easy ifElse": either("boolean", "on_true", "on_false"),
  "easy imageSwitch": either("boolean", "image_a", "image_b"),
  "easy textSwitch": numbered("input", "text"),
  "easy anythingIndexSwitch": numbered("index", "value"),
  "easy imageIndexSwitch": numbered("index", "image"),
  "easy textIndexSwitch": numbered("index", "text"),
  ImpactConditionalBranch: either("cond", "tt_value", "ff_value"),
  ImpactConditionalBranchSelMode: either("cond", "tt_value", "ff_value"),
  ImpactSwitch: numbered("select", "input"),
};

/** @type {Record<string, Choice>} those that choose which of their outputs gets the one input */
const OUTLETS = {
  "easy anythingInversedSwitch": outlet("index", 0, "in"),
  ImpactInversedSwitch: outlet("select", 1, "input"),
};

const EVERY_CHOICE = { ...CHOICES, ...OUTLETS };

/**
 * Which inputs a node passes on, or null when it makes something of its own or only a run knows.
 * @param {object} node
 * @param {number} slot the output that is asked for; other outputs than the first say something about the choice
 * @param {(name: string) => {value: unknown, known: boolean}} value of the node, by the name of its widget
 * @returns {number[] | null}
 */
export function choiceOf(node, slot, value) {
  const type = node.comfyClass ?? node.type;
  const choices = slot === 0 ? EVERY_CHOICE : OUTLETS;
  return Object.hasOwn(choices, type) ? choices[type](node, value, slot) : null;
}

function firstOf(prefix) {
  return (node) => node.inputs.flatMap((input, index) => (input.name.startsWith(prefix) ? [index] : []));
}

function either(by, yes, no) {
  return (node, value) => {
    const setting = value(by);
    return setting.known ? [inputIndex(node, setting.value ? yes : no)] : null;
  };
}

/** If nothing is linked to the chosen input, the other one is used. */
function withStandIn(choice) {
  return (node, value) => {
    const chosen = choice(node, value);
    const sockets = node.inputs.flatMap((input, index) => (input.name.startsWith("on_") ? [index] : []));
    return chosen && [...chosen, ...sockets.filter((index) => !chosen.includes(index))];
  };
}

function outlet(by, first, name) {
  return (node, value, slot) => {
    const setting = value(by);
    if (!setting.known) return null;
    return Number(setting.value) - first === slot ? [inputIndex(node, name)] : [];
  };
}

function numbered(by, prefix) {
  return (node, value) => {
    const setting = value(by);
    return setting.known ? [inputIndex(node, `${prefix}${Number(setting.value)}`)] : null;
  };
}

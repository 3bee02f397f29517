/** Adding to a scene: people, things, a background, and their pictures. */

import { link, linkSource, makeNode, sourceAt } from "../graph/build.js";
import { SUBGRAPH_INPUT } from "../graph/links.js";
import { setValue, widgetOf } from "../graph/values.js";
import { inputIndex, linkAt, originOf, targetsOf, valueOf } from "../graph/walk.js";
import { OWN_SLOT, PERSON_SLOT } from "./scene.js";

const FARTHEST = 8;
const SLOTS = [1, 2, 3];
const AWAY = 60;
// What a Load Image with its preview needs.
const LOADER_SIZE = [300, 330];

/** @typedef {"person" | "thing" | "background"} Kind */

const MADE = {
  person: { type: "LumosX_Subject", slot: PERSON_SLOT, inputs: SLOTS.map((slot) => `subject_${slot}`) },
  thing: { type: "LumosX_Object", slot: OWN_SLOT, inputs: SLOTS.map((slot) => `object_${slot}`) },
  background: { type: "LumosX_Background", slot: OWN_SLOT, inputs: ["background"] },
};

/** @type {Kind[]} */
export const KINDS = Object.keys(MADE);

/** How many more of a kind a Binder can take; things can be chained. @param {Kind} kind */
export function roomFor(kind, binder, root) {
  if (kind === "thing") return Infinity;
  return freeInputs(kind, binder, root).length;
}

function freeInputs(kind, binder, root) {
  return MADE[kind].inputs.filter((name) => inputIndex(binder, name) >= 0 && !isTaken(binder, name, root));
}

function isTaken(node, name, root) {
  return linkAt(node, inputIndex(node, name)) !== null || originOf(node, name, root) !== null;
}

/**
 * Make a node of a kind and link it to a Binder.
 * @param {Kind} kind
 * @returns {import("./rebind.js").Place | null} where its picture and its words go; null when there is no room
 */
export function addTo(binder, kind, root) {
  const { type, slot, inputs } = MADE[kind];
  if (!roomFor(kind, binder, root)) return null;
  const [free] = freeInputs(kind, binder, root);
  const node = makeNode(binder.graph, type, beside(binder));
  const name = free ?? inputs.at(-1);
  const before = free ? null : sourceAt(binder, inputIndex(binder, name));
  if (before) linkSource(before, node, inputIndex(node, "previous"));
  link(node, binder, name);
  return { node, slot };
}

function beside(node) {
  return { x: node.pos[0] - LOADER_SIZE[0] - AWAY, y: node.pos[1] };
}

/** Whether a place can receive another picture from here. @param {{node: object | null, slot: object | null}} place */
export function canTakePicture({ node, slot }, root) {
  if (!node?.graph || !slot || inputIndex(node, slot.image) < 0) return false;
  const own = linkAt(node, inputIndex(node, slot.image));
  // A picture from outside of a subgraph is the same for all instances of the subgraph.
  return !own || Number(own.origin_id) !== SUBGRAPH_INPUT || loaderOf(node, slot.image, root) !== null;
}

/**
 * Give a place a picture: through the Load Image that serves it alone, else through a new one.
 * @param {import("./rebind.js").Place} place
 * @param {string} file as Load Image names it
 */
export function givePicture({ node, slot }, file, root) {
  const loader = loaderOf(node, slot.image, root) ?? newLoader(node, slot.image);
  const { options } = widgetOf(loader, "image");
  if (Array.isArray(options?.values) && !options.values.includes(file)) options.values.push(file);
  setValue(loader, "image", file);
}

function newLoader(node, name) {
  const loader = makeNode(node.graph, "LoadImage", { ...beside(node), size: LOADER_SIZE });
  link(loader, node, name);
  return loader;
}

/** The Load Image whose picture arrives at this input only, perhaps through nodes that change it. */
function loaderOf(node, name, root) {
  let at = originOf(node, name, root);
  for (let step = 0; at && step < FARTHEST; step++) {
    if (at.by || targetsOf(at.node, at.slot, root).length !== 1) return null;
    if (at.node.comfyClass === "LoadImage") return valueOf(at, "image", root).linked ? null : at.node;
    const pictures = picturesInto(at, root);
    if (pictures.length !== 1) return null;
    [at] = pictures;
  }
  return null;
}

function picturesInto(place, root) {
  const origins = (place.node.inputs ?? []).map((input, index) => (input.type === "IMAGE" ? originOf(place, index, root) : null));
  return origins.filter((origin) => origin !== null);
}

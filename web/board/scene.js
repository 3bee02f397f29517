/** The scene around a Binder: its people, things, background and prompt. */

import { MUTED, placeKey, placeOf } from "../graph/links.js";
import { inputIndex, linkAt, originOf, outputKey, pausedAt, valueOf } from "../graph/walk.js";
import { heldBy, keptBy } from "./cases.js";
import { addLastRun } from "./lastrun.js";
import { fileNameOf, fileOfView, pictureAt, viewOf } from "./pictures.js";
import { promptsOf } from "./prompts.js";

const SLOTS = [1, 2, 3];
/** The inputs of a person's face on LumosX Subject, and those of LumosX Object and LumosX Background. */
export const PERSON_SLOT = { image: "face", phrase: "phrase", occurrence: "occurrence" };
export const OWN_SLOT = { image: "image", phrase: "phrase", occurrence: "occurrence" };
const LONGEST_CHAIN = 64;

/**
 * A picture and its words, as the graph has them.
 * @typedef {object} Reference
 * @property {string} id of its own on the board
 * @property {"face" | "attribute" | "object" | "background"} kind
 * @property {string} phrase
 * @property {number} occurrence
 * @property {number | null} person index of its row
 * @property {boolean} shown a picture is linked
 * @property {{title: string, muted: boolean} | null} paused the muted or bypassed node that keeps its picture away
 * @property {boolean} full_body
 * @property {string | null} image address of a thumbnail
 * @property {string | null} link where its picture comes from, the same for one output that is linked twice
 * @property {string | null} file the picture's file as Load Image names it, when that is what arrives
 * @property {{title: string, key: string} | null} broadcast the node that sends the picture to free inputs, when no link
 *   brings it; the key is the same for the same picture
 * @property {object | null} node the node that holds its widgets; null when it can only be read
 * @property {{image: string, phrase: string, occurrence: string} | null} slot names of its inputs on that node
 * @property {boolean} phraseLinked
 * @property {object | null} phraseNode a linked phrase comes from here
 * @property {boolean} known whether the page can read the phrase and its occurrence
 */

/**
 * @typedef {object} Person
 * @property {string} id
 * @property {object | null} node
 * @property {string} title
 * @property {Reference[]} references face first
 * @property {Reference | null} face where it would be named, also while it has neither picture nor words
 * @property {boolean} partial some of its attributes cannot be followed
 * @property {boolean} readOnly
 */

/**
 * @typedef {object} Scene
 * @property {Person[]} people
 * @property {Reference[]} objects
 * @property {Reference | null} background
 * @property {boolean} twoBackgrounds
 * @property {{title: string, node: object, place: "scene" | "subject" | "attribute" | "object" | "background"}[]} unseen
 *   what cannot be followed, and where it would belong
 * @property {{text: string | null, from: string | null, encoders: object[], chosen: object | null}} prompt
 * @property {string[]} cases queries of the cases in it
 */

/**
 * Read the scene of a Binder.
 * @param {object | import("../graph/links.js").Place} binder
 * @param {{app: object}} host
 * @param {Map<string, object | null>} cases what cases are known to hold, by query
 * @param {string | null} encoderKey the encode node that the user chose
 * @returns {Scene}
 */
export function readScene(binder, host, cases, encoderKey) {
  const root = rootOf(host.app);
  const { node, path } = placeOf(binder, root);
  const scene = { people: [], objects: [], background: null, twoBackgrounds: false, unseen: [], cases: [] };
  addBinder(scene, { node, path }, { host, root, cases, seen: new Set() });
  const binding = host.app.nodeOutputs?.[outputKey(node)]?.lumosx_binding?.[0];
  addLastRun(scene, binding, (reported, id) => readOnly(reported, id, host));
  number(scene);
  return { ...scene, prompt: promptsOf(node, scene, { host, root, cases, encoderKey }) };
}

/** The outermost graph. */
export function rootOf(app) {
  return app.rootGraph ?? app.graph?.rootGraph ?? app.graph;
}

/** All references of a scene in the order of the board. @returns {Reference[]} */
export function referencesOf(scene) {
  return [
    ...scene.people.flatMap((person) => person.references),
    ...scene.objects,
    ...(scene.background ? [scene.background] : []),
  ];
}

/** The distinct words of all references. @returns {string[]} */
export function phrasesOf(scene) {
  return [...new Set(referencesOf(scene).filter(({ known }) => known).map(({ phrase }) => phrase.trim()))].filter(Boolean);
}

function addBinder(scene, binder, at) {
  const key = placeKey(binder);
  if (at.seen.has(key)) return;
  at.seen.add(key);
  addEarlier(scene, originOf(binder, "relations", at.root), at);
  const earlier = scene.objects.splice(0);
  for (const slot of SLOTS) addSubject(scene, originOf(binder, `subject_${slot}`, at.root), at);
  for (const slot of SLOTS) scene.objects.push(...chainOf(scene, originOf(binder, `object_${slot}`, at.root), "object", at));
  // The order of the server, so that badges are those of the result view: full bodies after the objects.
  scene.objects.sort((one, other) => Number(one.full_body) - Number(other.full_body));
  scene.objects.unshift(...earlier);
  addBackground(scene, originOf(binder, "background", at.root), at);
}

function addEarlier(scene, origin, at) {
  if (!origin) return;
  if (origin.node.comfyClass === "LumosX_Binder") addBinder(scene, origin, at);
  else if (origin.node.comfyClass === "LumosX_LoadCase") addCase(scene, origin, at);
  else scene.unseen.push(unseen(origin.node, "scene"));
}

function unseen(node, place) {
  return { title: titleOf(node), node, place };
}

/** The title of a node. */
export function titleOf(node) {
  return node.getTitle?.() ?? node.title ?? node.type;
}

function addSubject(scene, origin, at) {
  if (!origin) return;
  if (origin.node.comfyClass === "LumosX_LoadPerson") return void addKept(scene, origin, at);
  if (origin.node.comfyClass !== "LumosX_Subject") return void scene.unseen.push(unseen(origin.node, "subject"));
  const node = origin.node;
  const attributes = SLOTS.flatMap((slot) => attributeOf(origin, slot, at));
  const followed = scene.unseen.length;
  attributes.push(...chainOf(scene, originOf(origin, "more_attributes", at.root), "attribute", at));
  const body = bodyOf(origin, at);
  const partial = scene.unseen.length > followed;
  const face = reference(origin, "face", PERSON_SLOT, at);
  const references = [...(hasFace(face, attributes, body.length > 0 && !partial) ? [face] : []), ...attributes];
  if (references.length || !body.length) {
    const whose = { id: placeKey(origin), node, title: titleOf(node), face, partial };
    scene.people.push({ ...whose, references, readOnly: false, body: body.length > 0 });
  }
  for (const each of body) scene.objects.push({ ...each, owner: placeKey(origin) });
}

function addKept(scene, place, at) {
  const { node } = place;
  const held = keptBy(place, scene, at.cases, at);
  if (!held) return void scene.unseen.push(unseen(node, "subject"));
  const id = placeKey(place);
  const every = held.references.map((each, rank) => readOnly(each, `${id}:${rank}`, at.host));
  const references = every.filter((each) => !each.full_body);
  const whose = { id, node, title: titleOf(node), face: null, partial: false };
  if (references.length) scene.people.push({ ...whose, references, readOnly: true, body: references.length < every.length });
  for (const each of every.filter(({ full_body }) => full_body)) scene.objects.push({ ...each, owner: id });
}

/** Whether a person has a face besides its attributes; its words alone can be those of a full body. */
function hasFace(face, attributes, onlyBody) {
  if (face.shown) return true;
  return attributes.length ? !isBlank(face) : !onlyBody;
}

/** Whether a reference surely has no words. */
export function isBlank(reference) {
  return !reference.phrase.trim() && (reference.known || !reference.phraseLinked);
}

function bodyOf(place, at) {
  if (!originOf(place, "full_body", at.root)) return [];
  const slot = { ...PERSON_SLOT, image: "full_body" };
  return [{ ...reference(place, "object", slot, at), full_body: true }];
}

function attributeOf(place, slot, at) {
  const found = reference(place, "attribute", attributeSlot(slot), at);
  return found.shown || found.paused || found.phrase.trim() ? [found] : [];
}

/** The inputs of an attribute of LumosX Subject. */
export function attributeSlot(slot) {
  const image = `attribute_${slot}`;
  return { image, phrase: `${image}_phrase`, occurrence: `${image}_occurrence` };
}

function chainOf(scene, first, kind, at) {
  const found = [];
  for (let origin = first; origin && found.length < LONGEST_CHAIN; origin = originOf(origin, "previous", at.root)) {
    if (origin.node.comfyClass !== "LumosX_Object") {
      scene.unseen.push(unseen(origin.node, kind));
      break;
    }
    found.unshift(reference(origin, kind, OWN_SLOT, at));
  }
  return found;
}

function addBackground(scene, origin, at) {
  if (!origin) return;
  if (origin.node.comfyClass !== "LumosX_Background") return void scene.unseen.push(unseen(origin.node, "background"));
  setBackground(scene, reference(origin, "background", OWN_SLOT, at));
}

function setBackground(scene, background) {
  scene.twoBackgrounds ||= scene.background !== null;
  scene.background = background;
}

/** @returns {Reference} */
function reference(place, kind, slot, { host, root }) {
  const { node } = place;
  const words = valueOf(place, slot.phrase, root);
  const which = valueOf(place, slot.occurrence, root);
  const origin = originOf(place, slot.image, root);
  const paused = origin ? null : pausedAt(place, slot.image, root);
  return {
    id: `${placeKey(place)}:${slot.image}`,
    kind,
    phrase: String(words.value ?? ""),
    occurrence: Math.max(0, Math.trunc(Number(which.value)) || 0),
    person: null,
    shown: origin !== null,
    paused: paused && { title: titleOf(paused.node), muted: paused.node.mode === MUTED },
    full_body: false,
    image: (origin || paused) && pictureAt(origin ?? paused, host, root),
    link: origin && `${placeKey(origin)}:${origin.slot}`,
    file: origin && fileNameOf(origin, root),
    broadcast: origin?.by ? { title: titleOf(origin.by), key: `${placeKey(origin)}:${origin.slot}` } : null,
    node,
    slot,
    linked: inputIndex(node, slot.image) >= 0 && linkAt(node, inputIndex(node, slot.image)) !== null,
    phraseLinked: words.linked,
    phraseNode: words.linked ? words.from : null,
    known: words.known && which.known,
  };
}

function addCase(scene, place, { cases, root, host }) {
  const { node } = place;
  const held = heldBy(place, scene, cases, root);
  if (!held) return void scene.unseen.push(unseen(node, "scene"));
  const title = titleOf(node);
  held.people.forEach((person, index) => {
    const references = person.references.map((each, rank) => readOnly(each, `${placeKey(place)}:${index}:${rank}`, host));
    const whose = { id: `${placeKey(place)}:${index}`, node, title, face: null, partial: false };
    scene.people.push({ ...whose, references, readOnly: true, body: false });
  });
  scene.objects.push(...held.objects.map((each, index) => readOnly(each, `${placeKey(place)}:o${index}`, host)));
  if (held.background) setBackground(scene, readOnly(held.background, `${placeKey(place)}:b`, host));
}

function readOnly(each, id, host) {
  const image = each.image?.filename ? viewOf(host.api, each.image) : (each.url ?? null);
  const { kind, phrase, occurrence = 0, shown = true, full_body = false } = each;
  const fixed = { node: null, slot: null, link: null, broadcast: null, phraseLinked: false, phraseNode: null, known: true };
  return { id, kind, phrase, occurrence, person: null, shown, paused: null, full_body, image, file: fileOfView(each.image), ...fixed };
}

/** Give everything the index of its row; a full body has one when its person has other pictures too. */
function number(scene) {
  for (const body of scene.objects.filter((each) => each.full_body)) {
    const row = scene.people.findIndex((person) => person.id === body.owner);
    body.person = row < 0 ? null : row;
  }
  scene.people.forEach((person, index) => person.references.forEach((each) => (each.person = index)));
  unique(scene.people);
  unique(referencesOf(scene));
}

/** One node can be linked twice. */
function unique(things) {
  const seen = new Map();
  for (const thing of things) {
    const times = (seen.get(thing.id) ?? 0) + 1;
    seen.set(thing.id, times);
    if (times > 1) thing.id = `${thing.id}#${times}`;
  }
}

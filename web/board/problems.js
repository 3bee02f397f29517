/** What has to be mended on a board, reference by reference, and how. */

import { isBlank, referencesOf } from "./scene.js";
import { say } from "../words.js";

/**
 * @typedef {object} Mend
 * @property {string} text
 * @property {string} label what a screen reader says
 * @property {{phrase?: string, occurrence?: number}} set values for the reference
 */

/**
 * @typedef {object} Problem
 * @property {"error" | "warning" | "note"} level an error stops the run, a note is no problem
 * @property {string} text one sentence
 * @property {Mend[]} mends
 */

/**
 * The problems of every reference and row, by their ids.
 * @param {import("./scene.js").Scene} scene
 * @param {object | null} answer of the server
 * @returns {{byId: Map<string, Problem[]>, board: Problem[], count: number}}
 */
export function problemsOf(scene, answer) {
  const byId = new Map();
  const add = (id, ...found) => byId.set(id, [...(byId.get(id) ?? []), ...found]);
  const judged = new Map((answer?.references ?? []).map((each) => [each.id, each]));
  for (const reference of referencesOf(scene)) {
    add(reference.id, ...pictureProblems(reference), ...phraseProblems(reference, judged.get(reference.id), scene));
  }
  scene.people.forEach((person, index) => add(person.id, ...personProblems(person, index, answer)));
  const board = boardProblems(scene, answer);
  const all = [...byId.values(), board].flat();
  return { byId, board, count: all.filter((problem) => problem.level !== "note").length };
}

function problem(level, key, values = {}, mends = []) {
  return { level, text: say(key, values), mends };
}

function pictureProblems(reference) {
  if (reference.shown || reference.kind === "face") return [];
  const clear = { text: say("clear_words"), label: say("clear_words"), set: { phrase: "" } };
  return [problem("error", "no_picture", {}, reference.node ? [clear] : [])];
}

function phraseProblems(reference, judged, scene) {
  if (isBlank(reference)) return reference.shown ? [problem("error", ...emptiness(reference))] : [];
  if (!judged) return [];
  const found = STATUS[judged.status]?.(reference, judged) ?? [];
  return [...found, ...ambiguous(reference, judged), ...shared(judged, scene)];
}

function emptiness({ broadcast }) {
  return broadcast ? ["empty_broadcast", broadcast] : ["empty"];
}

/** @type {Record<string, (reference: object, judged: object) => Problem[]>} */
const STATUS = {
  missing(reference, { nearest = [] }) {
    const mends = nearest.map((words) => ({ text: words, label: say("use_words", { words }), set: { phrase: words, occurrence: 0 } }));
    return [problem("error", nearest.length ? "missing_near" : "missing", {}, mends)];
  },
  too_few(reference, { count }) {
    return [problem("error", "too_few", { count, number: reference.occurrence }, occurrences(count, true))];
  },
  sometimes() {
    return [problem("warning", "sometimes")];
  },
};

function occurrences(count, all = false) {
  const numbers = Array.from({ length: Math.min(count, 5) }, (_, index) => index + 1);
  const mends = numbers.map((number) => ({
    text: say("occurrence_short", { number }), label: say("use_occurrence", { number }), set: { occurrence: number },
  }));
  return all ? [{ text: say("all_occurrences"), label: say("all_occurrences"), set: { occurrence: 0 } }, ...mends] : mends;
}

function ambiguous(reference, judged) {
  if (!judged.ambiguous) return [];
  return [problem("warning", "ambiguous", { count: judged.count }, occurrences(judged.count))];
}

function shared({ shared_with: others = [] }, scene) {
  if (!others.length) return [];
  const owners = scene.people.filter((person) => person.references.some((each) => others.includes(each.id)));
  const names = owners.map((person) => say("person", { number: scene.people.indexOf(person) + 1 }));
  return [problem("warning", "shared", { others: [...new Set(names)].join(", ") })];
}

function personProblems(person, index, answer) {
  const found = [];
  if (!person.references.some((each) => each.shown) && !person.body && !person.partial) found.push(problem("error", "nothing_linked"));
  const own = answer?.people?.find((each) => each.person === index);
  const alone = person.references.some((each) => each.phrase.trim());
  if (own?.own_words === false && alone) found.push(problem("warning", "no_own_words"));
  for (const warning of answer?.warnings ?? []) {
    if (warning.person === index && !(warning.code === "no_face" && person.body)) found.push(...note(warning));
  }
  return found;
}

const NOTES = { too_many_people: "note", too_many_attributes: "note", no_face: "note", choices: "note" };

function note(warning) {
  return NOTES[warning.code] ? [problem("note", `warning_${warning.code}`, warning)] : [];
}

function boardProblems(scene, answer) {
  const general = (answer?.warnings ?? []).filter((warning) => warning.person === undefined);
  return [...(scene.twoBackgrounds ? [problem("error", "two_backgrounds")] : []), ...broadcasts(scene), ...general.flatMap(note)];
}

/** A picture that is broadcast to several inputs was most likely meant for one. */
function broadcasts(scene) {
  const sent = referencesOf(scene).flatMap(({ broadcast }) => (broadcast ? [broadcast] : []));
  const first = sent.filter(({ key }, index) => sent.findIndex((each) => each.key === key) === index);
  const counted = first.map(({ title, key }) => ({ title, count: sent.filter((each) => each.key === key).length }));
  return counted.filter(({ count }) => count > 1).map((each) => problem("warning", "broadcast", each));
}

/** The problems on a board: what the server found, at its place, in words, and the fixes that it offers. */

import { isBlank, OWN_SLOT, referencesOf } from "./scene.js";
import { say } from "../words.js";

/**
 * @typedef {object} Fix
 * @property {string} text
 * @property {string} label what a screen reader says
 * @property {{phrase?: string, occurrence?: number}} set values for the reference
 */

/**
 * @typedef {object} Problem
 * @property {"error" | "warning"} level an error stops the run
 * @property {string} text one sentence
 * @property {Fix[]} fixes
 */

/**
 * A problem as the server finds it, wherever it belongs.
 * @typedef {{level: "error" | "warning", code: string, references: string[], people: number[], values: object}} Found
 */

const MOST_MENDS = 5;

/**
 * The problems of every reference and row, by their ids, and how many there are; each is counted once.
 * @param {import("./scene.js").Scene} scene
 * @param {Found[]} found
 * @returns {{byId: Map<string, Problem[]>, board: Problem[], errors: number, warnings: number}}
 */
export function problemsOf(scene, found) {
  const byId = new Map();
  const board = [];
  const all = [...ofLinks(scene), ...found];
  for (const each of all) {
    const places = placesOf(each, scene);
    if (!places.length) board.push(problem(each.level, each.code, each.values));
    for (const [id, shown] of places) byId.set(id, [...(byId.get(id) ?? []), shown]);
  }
  const errors = all.filter(({ level }) => level === "error").length;
  return { byId, board, errors, warnings: all.length - errors };
}

function problem(level, key, values = {}, fixes = []) {
  return { level, text: say(key, values), fixes };
}

/** What only the page can see: links that are missing, or too many. @returns {Found[]} */
function ofLinks(scene) {
  const found = scene.people.flatMap((person, index) => (isLacking(person) ? [of("error", lackOf(person), [], [index], person)] : []));
  // A node of its own needs one of both; the server knows things and backgrounds as such, but not what a person wears.
  const worn = scene.people.flatMap(({ references }) => references.filter(({ node, slot }) => node && slot.image === OWN_SLOT.image));
  found.push(...worn.filter((each) => !each.shown && isBlank(each)).map(({ id }) => of("error", "nothing", [id])));
  if (scene.twoBackgrounds) found.push(of("error", "two_backgrounds"));
  return [...found, ...broadcasts(scene)];
}

function of(level, code, references = [], people = [], values = {}) {
  return { level, code, references, people, values };
}

function lackOf(person) {
  return isPaused(person) ? "all_paused" : "nothing_linked";
}

/** Whether some picture of a person is muted or bypassed, to compare. */
function isPaused({ references }) {
  return references.some(({ paused }) => paused);
}

/** Whether a person has neither a picture nor words. */
function isLacking(person) {
  return person.references.every((each) => !each.shown && isBlank(each)) && !person.body && !person.partial;
}

/** A picture that is broadcast to several inputs was most likely meant for one. */
function broadcasts(scene) {
  const sent = referencesOf(scene).flatMap(({ broadcast }) => (broadcast ? [broadcast] : []));
  const first = sent.filter(({ key }, index) => sent.findIndex((each) => each.key === key) === index);
  const counted = first.map(({ title, key }) => ({ title, count: sent.filter((each) => each.key === key).length }));
  return counted.filter(({ count }) => count > 1).map((values) => of("warning", "broadcast", [], [], values));
}

/** Where a problem is shown: at its references, else at the rows of its people. @returns {[string, Problem][]} */
function placesOf(found, scene) {
  const known = new Map(referencesOf(scene).map((each) => [each.id, each]));
  const references = found.references.flatMap((id) => known.get(id) ?? []);
  const rows = found.people.flatMap((index) => scene.people[index] ?? []);
  if (!references.length) return rows.map((row) => [row.id, problem(found.level, codeOf(found, row), found.values)]);
  return references.map((reference) => [reference.id, (SHOWN[found.code] ?? plain)(found, reference, { references, scene })]);
}

function codeOf({ code }, row) {
  return code === "person_unseen" && isPaused(row) ? "person_paused" : code;
}

function plain({ level, code, values }) {
  return problem(level, code, values);
}

/** @type {Record<string, (found: Found, reference: object, at: {references: object[], scene: object}) => Problem>} */
const SHOWN = {
  no_picture({ level, code }, { node, slot, paused }) {
    // If a picture is bypassed for a while, its words should stay.
    if (paused) return problem(level, `${paused.muted ? "muted" : "bypassed"}_words`, paused);
    // A node of its own needs one of both.
    const isOptional = node && slot.image !== OWN_SLOT.image;
    return problem(level, code, {}, isOptional ? [{ text: say("clear_words"), label: say("clear_words"), set: { phrase: "" } }] : []);
  },
  nothing({ level, code }, { paused }) {
    return paused ? problem(level, `${paused.muted ? "muted" : "bypassed"}_stops`, paused) : problem(level, code);
  },
  empty({ level, code }, { broadcast }) {
    return broadcast ? problem(level, "empty_broadcast", broadcast) : problem(level, code);
  },
  missing({ level, values: { nearest = [] } }) {
    const fixes = nearest.map((words) => ({ text: words, label: say("use_words", { words }), set: { phrase: words, occurrence: 0 } }));
    return problem(level, nearest.length ? "missing_near" : "missing", {}, fixes);
  },
  too_few({ level, code, values }) {
    return problem(level, code, values, occurrences(values.count, true));
  },
  ambiguous({ level, code, values: { places } }) {
    return problem(level, code, { count: places }, occurrences(places));
  },
  shared({ level, values: { places } }, reference, { references, scene }) {
    return problem(level, "shared", { others: othersOf(reference, references, scene) }, parting(reference, places));
  },
  no_own_words({ level, code, values: { places }, people }, reference, { references, scene }) {
    const fixes = parting(reference, places);
    if (people.includes(reference.person)) return problem(level, code, {}, fixes);
    return problem(level, "shared", { others: othersOf(reference, references, scene) }, fixes);
  },
  same_picture({ level, code }, reference, { references }) {
    const others = references.filter((each) => each !== reference).map(({ phrase }) => `“${phrase}”`);
    return problem(level, code, { others: others.join(", ") });
  },
};

/** The people besides its own that a reference shares words with. */
function othersOf({ person }, references, scene) {
  const others = [...new Set(references.map((each) => each.person))].filter((each) => each !== person && scene.people[each]);
  return others.sort((one, other) => one - other).map((each) => say("person", { number: each + 1 })).join(", ");
}

/** Occurrences that distinguish a reference from others with its words. */
function parting({ occurrence }, places) {
  return occurrence || places < 2 ? [] : occurrences(places);
}

function occurrences(count, all = false) {
  const numbers = Array.from({ length: Math.min(count, MOST_MENDS) }, (_, index) => index + 1);
  const fixes = numbers.map((number) => ({
    text: say("occurrence_short", { number }), label: say("use_occurrence", { number }), set: { occurrence: number },
  }));
  return all ? [{ text: say("all_occurrences"), label: say("all_occurrences"), set: { occurrence: 0 } }, ...fixes] : fixes;
}

/** What only the last run of a Binder knows, because its links cannot be followed from the page. */

import { pairUp, sameWords } from "./pairs.js";

/**
 * Add what the last run had beyond the scene; nothing when that was a run of another scene.
 * @param {import("./scene.js").Scene} scene
 * @param {object | undefined} binding the ui output of LumosX_Binder
 * @param {(reported: object, id: string) => import("./scene.js").Reference} readOnly
 */
export function addLastRun(scene, binding, readOnly) {
  if (!binding || !scene.unseen.length) return;
  const people = pairedPeople(scene, binding.people);
  const things = pairUp(scene.objects, binding.objects, sameWords)?.left;
  const background = pairUp(listOf(scene.background), listOf(binding.background), sameWords)?.left;
  if (!people || !things || !background) return;
  if (things.length && !lacks(scene, "scene", "subject", "object")) return;
  if (background.length && !lacks(scene, "scene", "background")) return;
  scene.people = people.map(({ row, more }, index) => {
    const added = more.map((each, place) => readOnly(each, `last:${index}:${place}`));
    if (row) return added.length ? { ...row, references: [...row.references.filter(says), ...added] } : row;
    const whose = { id: `last:${index}`, node: null, title: "", face: null, partial: false };
    return { ...whose, references: added, readOnly: true, body: false };
  });
  scene.objects.push(...things.map((each, index) => readOnly(each, `last:o${index}`)));
  if (background.length) scene.background = readOnly(background[0], "last:b");
}

/** All people of a run, each with its row and what the row lacks; null if they cannot be matched. */
function pairedPeople(scene, people) {
  const rows = [...scene.people];
  const found = people.map((person) => {
    const more = rows.length ? beyond(rows[0], person) : null;
    return more ? { row: rows.shift(), more } : { row: null, more: person.references };
  });
  const strangers = found.some(({ row }) => !row) && !lacks(scene, "scene", "subject");
  return rows.length || strangers ? null : found;
}

/** What a person of a run has in addition to a row; null if it is another person. */
function beyond(row, person) {
  const more = pairUp(row.references.filter(says), person.references, sameWords)?.left;
  return more && (row.partial || !more.length) ? more : null;
}

function says(reference) {
  return reference.shown || !reference.known || reference.phrase.trim() !== "";
}

function lacks(scene, ...places) {
  return scene.unseen.some(({ place }) => places.includes(place));
}

function listOf(reference) {
  return reference ? [reference] : [];
}

/** Which words every reference binds to: the server's guess while typing, the tokenizer's verdict after a run. */

import { resultOf } from "../result/last.js";
import { pairUp, sameWords } from "./pairs.js";
import { referencesOf } from "./scene.js";

const MOST_REFERENCES = 64;
const MOST_CHARACTERS = 20_000;
const LONGEST_PHRASE = 2_000;

/**
 * What the server is asked about a scene.
 * @param {import("./scene.js").Scene} scene
 */
export function questionOf(scene) {
  const references = referencesOf(scene).slice(0, MOST_REFERENCES);
  const asked = references.map(({ id, kind, phrase, occurrence, person, shown }) => (
    { id, kind, phrase: phrase.slice(0, LONGEST_PHRASE), occurrence, person, shown }
  ));
  return { prompt: scene.prompt.text?.slice(0, MOST_CHARACTERS) ?? null, references: asked };
}

/**
 * The server's answer, or the sentence with which it refuses the question; throws when it has neither.
 * @param {{fetchApi: (path: string, options: object) => Promise<Response>}} api
 * @param {object} question
 * @param {AbortSignal} signal
 * @returns {Promise<{answer: object | null, refusal: string | null}>}
 */
export async function ask(api, question, signal) {
  const body = JSON.stringify(question);
  const headers = { "Content-Type": "application/json" };
  const answer = await api.fetchApi("/lumosx/board", { method: "POST", headers, body, signal });
  if (answer.ok) return { answer: await answer.json(), refusal: null };
  const refusal = answer.status === 400 ? (await answer.json()).error : null;
  if (!refusal) throw new Error(`${answer.status}`);
  return { answer: null, refusal };
}

/**
 * The tokenizer's ranges of every reference, when the last run had exactly what the board shows; else null.
 * @param {import("./scene.js").Scene} scene
 * @param {{app: object}} host
 * @returns {Map<string, [number, number][]> | null}
 */
export function checkedRanges(scene, host) {
  const result = scene.prompt.chosen && resultOf(scene.prompt.chosen, host);
  if (!result || result.prompt !== scene.prompt.text) return null;
  const references = referencesOf(scene);
  const pairs = references.every((each) => each.known) ? pairsOf(references, result.references) : null;
  if (!pairs || pairs.some(([, found]) => found.ranges === null)) return null;
  return new Map(pairs.map(([reference, found]) => [reference.id, found.ranges]));
}

/**
 * Every reference with its counterpart in a result, or null unless all have one and none is left.
 * @returns {[import("./scene.js").Reference, object][] | null}
 */
export function pairsOf(references, results) {
  const found = pairUp(references, results, same);
  return found && !found.left.length ? found.pairs : null;
}

function same(reference, result) {
  return sameWords(reference, result) && reference.shown === result.shown
    && (result.full_body || reference.full_body || reference.person === result.person);
}

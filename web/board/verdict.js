/** Which words every reference binds to, and problems: from the server while typing, from the encoder after a run. */

import { resultOf } from "../result/last.js";
import { pairUp, sameWords } from "./pairs.js";
import { referencesOf } from "./scene.js";

// One more than the server checks, so that it says so; the rest need not be sent.
const [REFERENCES, CHARACTERS, PHRASE] = [65, 20_001, 2_001];
const OF_PICTURES = ["blank_picture", "example_picture", "thin_picture", "same_picture"];

/**
 * The request to the server about a scene.
 * @param {import("./scene.js").Scene} scene
 */
export function questionOf(scene) {
  const { text, settled, frame } = scene.prompt;
  const references = referencesOf(scene).slice(0, REFERENCES).map((each) => {
    const { id, kind, occurrence, person, shown, full_body, link, file } = each;
    const phrase = each.known ? each.phrase.slice(0, PHRASE) : null;
    // There is already a message if a picture is broadcast to several inputs.
    const picture = each.broadcast ? {} : { link, file };
    return { id, kind, phrase, occurrence, person, shown, full_body, ...picture };
  });
  return { prompt: text?.slice(0, CHARACTERS) ?? null, settled, frame, references };
}

/**
 * The server's answer, or its refusal; throws if there is neither.
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
 * The encoder's findings, if the last run had exactly what the board shows; else null.
 * @param {import("./scene.js").Scene} scene
 * @param {{app: object}} host
 * @returns {{ranges: Map<string, [number, number][]>, found: import("./problems.js").Found[], result: object} | null}
 */
export function checkedBy(scene, host) {
  const result = scene.prompt.chosen && resultOf(scene.prompt.chosen, host);
  if (!result || result.prompt !== scene.prompt.text) return null;
  const references = referencesOf(scene);
  // Of a host's reactive list, iterators and indices give different proxies of the same object.
  const reported = [...result.references];
  const pairs = references.every((each) => each.known) ? pairsOf(references, reported) : null;
  if (!pairs || pairs.some(([, each]) => each.ranges === null)) return null;
  const ids = new Map(pairs.map(([reference, each]) => [each, reference.id]));
  const found = (result.findings ?? []).map(({ code, words, people, values }) => (
    { level: "warning", code, references: words.map((index) => ids.get(reported[index])), people, values }
  ));
  return { ranges: new Map(pairs.map(([reference, each]) => [reference.id, each.ranges])), found, result };
}

/**
 * The problems to show: those of words from the encoder, once it has seen them; those of pictures from whichever saw them.
 * @param {object | null} answer of the server
 * @param {ReturnType<typeof checkedBy>} checked
 * @param {(id: string) => boolean} isSame whether a reference has the picture that the encoder received
 */
export function foundBy(answer, checked, isSame) {
  const guessed = answer?.problems ?? [];
  if (!checked) return guessed;
  const seen = guessed.filter(({ code }) => OF_PICTURES.includes(code));
  const isNew = ({ code, references }) => references.every(isSame)
    && !seen.some((each) => each.code === code && each.references.some((id) => references.includes(id)));
  return [...checked.found.filter((each) => !OF_PICTURES.includes(each.code) || isNew(each)), ...seen];
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

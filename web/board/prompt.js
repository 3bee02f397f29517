/** The prompt with the words of each reference marked in its colour and with its badge. */

import { make, rebuild } from "../dom.js";
import { say } from "../words.js";

/**
 * A mark: the words of one reference in the prompt.
 * @typedef {{start: number, end: number, badge: string, hue: string, title: string}} Mark
 */

/**
 * Cut a text where marks begin and end.
 * @param {string} text
 * @param {Mark[]} marks
 * @returns {{from: number, text: string, marks: Mark[]}[]}
 */
export function piecesOf(text, marks) {
  const kept = marks.filter(({ start, end }) => 0 <= start && start < end && end <= text.length);
  const cuts = new Set([0, text.length, ...kept.flatMap(({ start, end }) => [start, end])]);
  const places = [...cuts].sort((one, other) => one - other);
  return places.slice(0, -1).map((from, index) => {
    const to = places[index + 1];
    return { from, text: text.slice(from, to), marks: kept.filter(({ start, end }) => start <= from && to <= end) };
  });
}

/**
 * Draw a prompt; nothing is touched while it shows the same.
 * @param {HTMLElement} element
 * @param {string | null} text
 * @param {Mark[]} marks
 * @param {string} absent what to say when there is no prompt
 */
export function drawPrompt(element, text, marks, absent) {
  rebuild(element, [text, marks, absent], () => {
    if (text === null || !text.trim()) return [make("span", "lumosx-quiet", {}, text === null ? absent : say("prompt_empty"))];
    return piecesOf(text, marks).map(drawPiece);
  });
}

function drawPiece({ from, text, marks }) {
  if (!marks.length) return document.createTextNode(text);
  const element = make("mark", `lumosx-mark ${marks[0].hue}`, { title: marks.map((mark) => mark.title).join("\n") });
  element.classList.toggle("lumosx-shared", marks.length > 1);
  const badges = marks.filter((mark) => mark.start === from).map((mark) => make("span", `lumosx-badge ${mark.hue}`, {}, mark.badge));
  // A line may not break between a badge and the word that it belongs to.
  const [first] = /^\S*/.exec(text);
  element.append(make("span", "lumosx-first", {}, ...badges, first), text.slice(first.length));
  return element;
}

/**
 * The marks of references.
 * @param {{id: string, phrase: string}[]} references
 * @param {Map<string, [number, number][]>} ranges
 * @param {{badge: string, hue: string}[]} looks one for each reference
 * @returns {Mark[]}
 */
export function marksOf(references, ranges, looks) {
  return references.flatMap((reference, index) =>
    (ranges.get(reference.id) ?? []).map(([start, end]) => ({ start, end, ...looks[index], title: reference.phrase })),
  );
}

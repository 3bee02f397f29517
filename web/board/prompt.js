/** The prompt, typed where it is read: the words of each reference are marked in its colour and have its badge. */

import { make, rebuild, setAttribute, undoOnlyInFocus } from "../dom.js";
import { say } from "../words.js";

/**
 * A mark: the words of one reference in the prompt.
 * @typedef {{start: number, end: number, badge: string, hue: string}} Mark
 */

/**
 * The prompt: a sheet with the marks, and above it a field of the same letters, which only show the caret.
 * @param {import("./view.js").Actions} actions
 */
export function makePrompt(actions) {
  const marks = make("div", "lumosx-letters");
  const field = make("textarea", "lumosx-letters lumosx-typing", { spellcheck: "false", rows: "1", "aria-label": say("prompt") });
  undoOnlyInFocus(field);
  field.addEventListener("input", () => actions.type(field.value));
  field.addEventListener("change", () => actions.done());
  const element = make("div", "lumosx-prompt", {}, make("div", "lumosx-sheet", {}, marks, field));
  return Object.assign(element, { marks, field });
}

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
 * @param {ReturnType<typeof makePrompt>} element
 * @param {{text: string | null, holder: object | null}} prompt
 * @param {Mark[]} marks
 * @param {string} absent what to say when there is no prompt
 */
export function drawPrompt({ marks: sheet, field }, { text, holder }, marks, absent) {
  field.hidden = text === null;
  field.readOnly = holder === null;
  if (text !== null && field.value !== text) field.value = text;
  setAttribute(sheet, "aria-hidden", text === null ? null : "true");
  rebuild(sheet, [text, marks, absent], () => {
    if (text === null || !text.trim()) return [make("span", "lumosx-quiet", {}, text === null ? absent : say("prompt_empty"))];
    // A last line that is empty has no height of its own.
    return [...piecesOf(text, marks).map(drawPiece), ...(text.endsWith("\n") ? [make("br")] : [])];
  });
}

function drawPiece({ from, text, marks }) {
  if (!marks.length) return document.createTextNode(text);
  const element = make("mark", `lumosx-mark ${marks[0].hue}`);
  element.classList.toggle("lumosx-shared", marks.length > 1);
  const badges = marks.filter((mark) => mark.start === from).map((mark) => make("span", `lumosx-badge ${mark.hue}`, {}, mark.badge));
  // Badges stand above the line: letters that they pushed aside would not be below those that are typed.
  element.append(...(badges.length ? [make("span", "lumosx-above", {}, ...badges)] : []), text);
  return element;
}

/**
 * The marks of references.
 * @param {{id: string}[]} references
 * @param {Map<string, [number, number][]>} ranges
 * @param {{badge: string, hue: string}[]} looks one for each reference
 * @returns {Mark[]}
 */
export function marksOf(references, ranges, looks) {
  return references.flatMap((reference, index) =>
    (ranges.get(reference.id) ?? []).map(([start, end]) => ({ start, end, ...looks[index] })),
  );
}

/**
 * Ranges of a text in the text that it has become by one edit; those that the edit touches are gone.
 * @param {[number, number][]} ranges
 * @param {string} before
 * @param {string} after
 * @returns {[number, number][]}
 */
export function afterEdit(ranges, before, after) {
  const shorter = Math.min(before.length, after.length);
  let same = 0;
  while (same < shorter && before[same] === after[same]) same++;
  let rest = 0;
  while (rest < shorter - same && before[before.length - 1 - rest] === after[after.length - 1 - rest]) rest++;
  const moved = after.length - before.length;
  return ranges.flatMap(([start, end]) => {
    if (end <= same) return [[start, end]];
    return start >= before.length - rest ? [[start + moved, end + moved]] : [];
  });
}

/** Where a letter of the prompt is on the screen. @returns {DOMRect} */
export function placeOfLetter({ marks }, offset) {
  const walker = document.createTreeWalker(marks, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  let left = offset;
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    if (text.parentElement.closest(".lumosx-badge")) continue;
    if (left <= text.length) {
      range.setStart(text, left);
      return range.getBoundingClientRect();
    }
    left -= text.length;
  }
  return marks.getBoundingClientRect();
}

/** The letter of the prompt that a point of the screen is nearest to. @param {{x: number, y: number}} point */
export function letterAt({ marks }, { x, y }) {
  const walker = document.createTreeWalker(marks, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  const best = { offset: 0, away: Infinity };
  let before = 0;
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    if (text.parentElement.closest(".lumosx-badge, .lumosx-quiet")) continue;
    for (let index = 0; index <= text.length; index++) {
      range.setStart(text, index);
      const { left, top, bottom } = range.getBoundingClientRect();
      // Another line is farther away than anything on this one.
      const away = Math.abs(x - left) + 1e4 * Math.max(0, top - y, y - bottom);
      if (away < best.away) Object.assign(best, { offset: before + index, away });
    }
    before += text.length;
  }
  return best.offset;
}

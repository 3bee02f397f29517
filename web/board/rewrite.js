/** The prompt after the words of moved pictures have followed them. */

/** @typedef {[number, number]} Range of the prompt's letters */

const ARTICLE = /\b(?:an?|the|his|her|their|its)\s+$/i;
const OWNED = /^(?:his|her|their|its)\s/i;
const COMMA = /(?:\s*,)?\s+(?:and\s+)?$|\s*,\s*$/i;
const JOINED = /^(?:\s*,\s*(?:and\s+)?|\s+and\s+)$/i;
const HAS = /,?\s+(?:(?:who\s+|and\s+)?(?:is\s+|are\s+)?(?:wears?|wearing|has|have|having|holds?|holding|carries|carrying)|in|with)\s+$/i;

/**
 * The prompt with the words of two things exchanged, wherever either stands.
 * @param {string} text
 * @param {Range[]} first
 * @param {Range[]} second
 * @returns {string | null} null when one of them is not there, or both share letters
 */
export function exchangeWords(text, first, second) {
  if (!first.length || !second.length) return null;
  const words = (ranges) => text.slice(...ranges[0]);
  const edits = [
    ...first.map((range) => ({ range, into: words(second) })), ...second.map((range) => ({ range, into: words(first) })),
  ].sort((one, other) => one.range[0] - other.range[0]);
  if (edits.some(({ range }, index) => index && range[0] < edits[index - 1].range[1])) return null;
  const changed = edits.reduceRight((whole, { range: [start, end], into }) => whole.slice(0, start) + into + whole.slice(end), text);
  return changed === text ? null : changed;
}

/**
 * The prompt with the words of a thing taken from one person to another, as far as simple English goes.
 * @param {string} text
 * @param {Range} words
 * @param {Range[]} siblings what else the first person has
 * @param {{range: Range, isThing: boolean}} after the last words of the other person
 * @returns {string | null} null when nobody can say what belongs to these words
 */
export function moveWords(text, words, siblings, { range: [, end], isThing }) {
  const cut = cutOf(text, words, siblings);
  if (!cut || (cut[0] < end && end < cut[1])) return null;
  const article = articleBefore(text, words[0]);
  const thing = (OWNED.test(article) ? "" : article) + text.slice(...words);
  const added = `${isThing ? " and " : " wearing "}${thing}`;
  const [from, to] = cut;
  if (end <= from) return text.slice(0, end) + added + text.slice(end, from) + text.slice(to);
  return text.slice(0, from) + text.slice(to, end) + added + text.slice(end);
}

function articleBefore(text, start) {
  return ARTICLE.exec(text.slice(0, start))?.[0] ?? "";
}

/** The words with everything that is removed with them: the article, and what joins them to their neighbours. @returns {Range | null} */
function cutOf(text, [start, end], siblings) {
  const from = start - articleBefore(text, start).length;
  const comma = COMMA.exec(text.slice(0, from))?.[0] ?? "";
  if (comma.trim() && siblings.some((range) => range[1] === from - comma.length)) return [from - comma.length, end];
  const next = siblings.find(([other]) => other > end && JOINED.test(text.slice(end, other - articleBefore(text, other).length)));
  if (next) return [from, next[0] - articleBefore(text, next[0]).length];
  const has = HAS.exec(text.slice(0, from));
  return has && [from - has[0].length, end];
}

const WORD = /[\p{L}\p{N}]/u;
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u;

/** The prompt with words put in at a letter, a space apart from the words around them. */
export function withWords(text, words, offset) {
  const [before, after] = [text.slice(0, offset), text.slice(offset)];
  const joins = (one, other) => WORD.test(one) && WORD.test(other) && !(UNSPACED.test(one) && UNSPACED.test(other));
  const left = joins(before.at(-1) ?? "", words[0]) || /[,.;:!?]$/.test(before) ? " " : "";
  return before + left + words + (joins(words.at(-1), after[0] ?? "") ? " " : "") + after;
}

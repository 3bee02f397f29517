/** Completions of typed words: in a field, words of the prompt; in the prompt, words of pictures. */

const MOST = 6;
const MOST_AT_ONCE = 24;
const LONGEST = 5;
const SHORTEST = 2;
// A phrase does not end with these.
const INNER = new Set("a an the of in on at with and or to his her their its who is wearing".split(" "));
const LETTER = /[\p{L}\p{N}]/u;
const WIDE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u;

/**
 * Runs of the prompt's words that begin as typed.
 * @param {string} prompt
 * @param {string} typed
 * @returns {string[]}
 */
export function runsOf(prompt, typed) {
  const begun = typed.trimStart().toLowerCase();
  if (!isEnough(begun)) return [];
  const words = wordsOf(prompt);
  const found = words.flatMap(({ start }, index) =>
    prompt.slice(start, start + begun.length).toLowerCase() === begun ? runsFrom(prompt, words, index, begun.length) : []);
  return [...new Set(found)].filter((run) => run.toLowerCase() !== begun).slice(0, MOST);
}

function isEnough(begun) {
  return begun.length >= SHORTEST || WIDE.test(begun);
}

/** Every word; `joined`: nothing but space stands between it and the word before. */
function wordsOf(prompt) {
  if (typeof Intl.Segmenter !== "function") return [];
  const words = [];
  let end = 0;
  for (const { segment, index, isWordLike } of new Intl.Segmenter(undefined, { granularity: "word" }).segment(prompt)) {
    if (!isWordLike) continue;
    const start = index;
    words.push({ start, end: start + segment.length, joined: /^([^\S\n]*|[-'’])$/.test(prompt.slice(end, start)) });
    end = start + segment.length;
  }
  return words;
}

function runsFrom(prompt, words, first, typed) {
  const { start } = words[first];
  const runs = [];
  for (let index = first; index < words.length && (index === first || words[index].joined); index++) {
    const { end } = words[index];
    if (end < start + typed) continue;
    if (runs.length >= LONGEST) break;
    const last = prompt.slice(words[index].start, end).toLowerCase();
    if (!INNER.has(last)) runs.push(prompt.slice(start, end));
  }
  return runs;
}

/**
 * Phrases of pictures that are begun right before the caret, or all of them after an @.
 * @param {string} text
 * @param {number} caret
 * @param {string[]} phrases
 * @returns {import("./complete.js").Offer[]}
 */
export function phrasesAt(text, caret, phrases) {
  if (LETTER.test(text[caret] ?? "") && !WIDE.test(text[caret])) return [];
  const before = text.slice(0, caret);
  const called = /@([^@\n]{0,40})$/.exec(before);
  const offers = phrases.flatMap((phrase) => {
    if (called) return phrase.toLowerCase().includes(called[1].toLowerCase()) ? [{ from: called.index, text: phrase }] : [];
    const from = begunAt(before, phrase);
    return from < 0 ? [] : [{ from, text: phrase }];
  });
  const missing = ({ text: phrase }) => !text.includes(phrase);
  return [...offers.filter(missing), ...offers.filter((each) => !missing(each))].slice(0, MOST);
}

/**
 * Phrases of pictures for whoever asks for them: those that are begun before the caret, else all.
 * @param {string} text
 * @param {number} caret
 * @param {string[]} phrases
 * @returns {import("./complete.js").Offer[]}
 */
export function phrasesFor(text, caret, phrases) {
  const begun = phrasesAt(text, caret, phrases);
  if (begun.length) return begun;
  const all = phrases.map((phrase) => ({ from: caret, text: phrase }));
  const isThere = ({ text: phrase }) => text.includes(phrase);
  return [...all.filter((each) => !isThere(each)), ...all.filter(isThere)].slice(0, MOST_AT_ONCE);
}

/** Where a phrase that is not there in whole begins before the caret, or -1. */
function begunAt(before, phrase) {
  const [typed, whole] = [before.toLowerCase(), phrase.toLowerCase()];
  for (let length = Math.min(whole.length - 1, typed.length); length >= 1; length--) {
    const from = typed.length - length;
    if (!isEnough(whole.slice(0, length)) || !typed.endsWith(whole.slice(0, length))) continue;
    if (!LETTER.test(before[from - 1] ?? "") || WIDE.test(before[from])) return from;
  }
  return -1;
}

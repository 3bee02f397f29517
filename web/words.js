/** What the page says, in the language of the host: the key "lumosx" of locales/<language>/main.json. */

import { ENGLISH } from "./english.js";

/** @typedef {Record<string, string>} Words */

/** @type {{chosen: Words, english: Words}} */
const words = { chosen: {}, english: ENGLISH };

/**
 * Fetch the words of a language; English is used for missing words.
 * @param {{fetchApi: (path: string) => Promise<Response>}} api
 * @param {string | undefined} language e.g. "zh" or "pt-BR"
 */
export async function loadWords(api, language) {
  try {
    const all = await (await api.fetchApi("/i18n")).json();
    words.english = { ...ENGLISH, ...all.en?.lumosx };
    words.chosen = all[language]?.lumosx ?? {};
  } catch {
    // An old or unreachable server has no words; the page's own English says the same.
  }
}

/**
 * A sentence, with {names} filled in; "key_1" is its form for a `count` of one.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function say(key, values = {}) {
  const one = values.count === 1 ? `${key}_1` : key;
  const found = [words.chosen, words.english].flatMap((each) => [each[one], each[key]]).find(Boolean) ?? key;
  return found.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

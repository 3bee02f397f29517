/** Matching the references on the page with those of a run. */

/**
 * Every reference with its counterpart in a run, and the counterparts that are left; null if a reference has none.
 * @param {object[]} references those whose words the page cannot read take what the others leave
 * @param {object[]} reported what the run said of each
 * @param {(reference: object, reported: object) => boolean} alike
 * @returns {{pairs: [object, object][], left: object[]} | null}
 */
export function pairUp(references, reported, alike) {
  const left = [...reported];
  const pairs = [];
  const readable = (reference) => reference.known !== false;
  for (const reference of [...references.filter(readable), ...references.filter((each) => !readable(each))]) {
    const place = left.findIndex((each) => alike(reference, each));
    if (place < 0) return null;
    pairs.push([reference, ...left.splice(place, 1)]);
  }
  return { pairs, left };
}

/** Whether both have the same words, as far as the page can read them. */
export function sameWords(reference, reported) {
  if (reference.kind !== reported.kind) return false;
  if (reference.known === false) return true;
  return tidy(reference.phrase) === tidy(reported.phrase) && reference.occurrence === reported.occurrence;
}

function tidy(phrase) {
  return phrase.trim().split(/\s+/).join(" ");
}

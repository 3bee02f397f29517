/** Which colour and which badge a reference has, on the board and in the result view. */

const PEOPLE = 6;

/**
 * The CSS class of a reference's colour: everything of one person has the colour of that person.
 * @param {{kind: string, person: number | null}} reference
 */
export function hueOf(reference) {
  if (reference.person !== null) return `lumosx-hue-${reference.person % PEOPLE}`;
  return reference.kind === "background" ? "lumosx-hue-background" : "lumosx-hue-object";
}

/**
 * The badge of every reference: 1 for a face, 1a, 1b … for what belongs to that person, A, B … for objects, and a
 * square for the background.
 * @param {{kind: string, person: number | null}[]} references
 * @returns {string[]}
 */
export function badgesOf(references) {
  const used = new Map();
  return references.map((reference) => {
    if (reference.kind === "background") return "■";
    if (reference.kind === "face") return String(reference.person + 1);
    const owner = reference.person ?? "";
    const index = used.get(owner) ?? 0;
    used.set(owner, index + 1);
    return owner === "" ? letter(index, "A") : `${owner + 1}${letter(index, "a")}`;
  });
}

function letter(index, first) {
  return String.fromCharCode(first.charCodeAt(0) + (index % 26));
}

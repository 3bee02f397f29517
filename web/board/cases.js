/** What LumosX Load Case and LumosX Load Person nodes bring into a scene. */

import { valueOf } from "../graph/walk.js";

/**
 * The contents of a LumosX Load Case's case; requested from the server, and null until known.
 * @returns {object | null}
 */
export function heldBy(place, scene, cases, root) {
  const [name, bodies] = ["case", "full_body"].map((input) => valueOf(place, input, root));
  if (!name.known) return null;
  const query = new URLSearchParams({ name: String(name.value), ...(bodies.known ? { full_body: String(bodies.value) } : {}) });
  return answerTo(`case?${query}`, scene, cases);
}

/**
 * The pictures and words of a LumosX Load Person; requested from the server, and null until known.
 * @returns {{references: object[]} | null}
 */
export function keptBy(place, scene, cases, { root, host }) {
  const names = { name: "person", phrase: "phrase", occurrence: "occurrence", attribute_phrases: "attribute_phrases" };
  const values = Object.entries(names).map(([name, input]) => [name, valueOf(place, input, root)]);
  if (values.some(([, { known }]) => !known)) return null;
  const asked = Object.fromEntries(values.map(([name, { value }]) => [name, String(value ?? "")]));
  const answer = answerTo(`person?${new URLSearchParams(asked)}`, scene, cases);
  return answer && { references: answer.references.map((each) => pictured(each, asked.name, host)) };
}

function pictured(each, name, { api }) {
  return { ...each, shown: each.file !== null, url: each.file && personPicture(api, name, each.file) };
}

/** The address of a small picture of a person; without a file, of the one that shows best who it is. */
export function personPicture(api, name, file = null) {
  return api.apiURL(`/lumosx/person/picture?${new URLSearchParams({ name, ...(file === null ? {} : { file }) })}`);
}

function answerTo(query, scene, cases) {
  scene.cases.push(query);
  return cases.get(query) ?? null;
}

/** The cases that LumosX Load Case nodes bring into a scene. */

import { valueOf } from "../graph/walk.js";

/**
 * The contents of a LumosX Load Case's case; requested from the server, and null until known.
 * @returns {object | null}
 */
export function heldBy(place, scene, cases, root) {
  const [name, bodies] = ["case", "full_body"].map((input) => valueOf(place, input, root));
  if (!name.known) return null;
  const query = new URLSearchParams({ name: String(name.value), ...(bodies.known ? { full_body: String(bodies.value) } : {}) });
  scene.cases.push(query.toString());
  return cases.get(query.toString()) ?? null;
}

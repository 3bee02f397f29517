/** The prompt that a scene is bound to: that of the encode node its Binder leads to. */

import { outputKey, targetsOf, valueOf } from "../graph/walk.js";
import { heldBy } from "./scene.js";

const FARTHEST = 16;

/**
 * The encode nodes behind a Binder and the prompt of the chosen one.
 * @returns {{text: string | null, from: string | null, encoders: object[], chosen: object | null}}
 */
export function promptsOf(binder, scene, { root, cases, encoderKey }) {
  const encoders = [...new Set(encodersOf(binder, root))];
  const chosen = encoders.find((node) => outputKey(node) === encoderKey) ?? encoders[0] ?? null;
  if (!chosen) return { text: null, from: null, encoders, chosen };
  const { value, known, from } = valueOf(chosen, "prompt", root);
  if (known) return { text: String(value ?? ""), from: null, encoders, chosen };
  const text = from?.comfyClass === "LumosX_LoadCase" ? heldBy(from, scene, cases, root)?.prompt ?? null : null;
  return { text, from: from ? from.getTitle?.() ?? from.title : null, encoders, chosen };
}

function encodersOf(binder, root, steps = 0) {
  if (steps > FARTHEST) return [];
  const reached = targetsOf(binder, 0, root).map(({ node }) => node);
  const further = reached.filter((node) => node.comfyClass === "LumosX_Binder");
  // The nearest first: what lies behind another Binder has more than this board shows.
  const own = reached.filter((node) => node.comfyClass === "LumosX_RelationalEncode");
  return [...own, ...further.flatMap((node) => encodersOf(node, root, steps + 1))];
}

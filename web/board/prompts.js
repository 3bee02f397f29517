/** The prompt of a scene: that of the encode node after its Binder. */

import { outputKey, targetsOf, valueOf } from "../graph/walk.js";
import { heldBy } from "./cases.js";

const FARTHEST = 16;
const RELATIONAL = "LumosX_RelationalEncode";
/** It reads every letter as it is typed, choices and weights too, and however many there are. */
const POLYVIVID = "LumosX_PolyVividEncode";

/**
 * The encode nodes behind a Binder and the prompt of the chosen one.
 * @returns {{text: string | null, settled: boolean, frame: {width: number, height: number} | null, from: string | null,
 *   encoders: object[], chosen: object | null, holder: {node: object, widget: object} | null, unlimited: boolean}}
 *   `settled`: the text reaches the node with its comments and choices in it; `holder`: the widget that the text is typed
 *   into; `unlimited`: the encoder reads a text of any length
 */
export function promptsOf(binder, scene, { root, cases, encoderKey }) {
  const encoders = [...new Set(encodersOf(binder, root))];
  const chosen = encoders.find((node) => outputKey(node) === encoderKey) ?? encoders[0] ?? null;
  if (!chosen) return { text: null, settled: false, frame: null, from: null, encoders, chosen, holder: null, unlimited: false };
  const asTyped = chosen.comfyClass === POLYVIVID;
  const { value, linked, known, from, holder } = valueOf(chosen, "prompt", root);
  const common = { frame: frameOf(chosen, root), encoders, chosen, holder, unlimited: asTyped };
  const settled = linked ? !isResolved(from, value) : asTyped;
  if (known) return { ...common, text: String(value ?? ""), settled, from: null };
  const text = from?.comfyClass === "LumosX_LoadCase" ? heldBy(from, scene, cases, root)?.prompt ?? null : null;
  return { ...common, text, settled: true, from: from ? from.getTitle?.() ?? from.title : null };
}

/**
 * Whether the page takes comments and choices out of a text that a node holds. It does so for widgets that ask for it,
 * and a primitive writes its text into such a one.
 */
function isResolved(node, text) {
  if (typeof node?.applyToGraph === "function") return true;
  return (node?.widgets ?? []).some((widget) => widget.dynamicPrompts && widget.value === text && !node.subgraph);
}

/** The size of the video, if both sides are known. */
function frameOf(encoder, root) {
  const [width, height] = ["width", "height"].map((name) => valueOf(encoder, name, root));
  const sides = [width, height].map(({ value, known }) => (known && Number.isInteger(value) && value > 0 && value <= 16_384 ? value : null));
  return sides.includes(null) ? null : { width: sides[0], height: sides[1] };
}

function encodersOf(binder, root, steps = 0) {
  if (steps > FARTHEST) return [];
  const reached = targetsOf(binder, 0, root).map(({ node }) => node);
  const further = reached.filter((node) => node.comfyClass === "LumosX_Binder");
  // The nearest first: a node after another Binder has more than this board shows.
  const own = reached.filter((node) => node.comfyClass === RELATIONAL || node.comfyClass === POLYVIVID);
  return [...own, ...further.flatMap((node) => encodersOf(node, root, steps + 1))];
}

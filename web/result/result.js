/** The result view of one Relational Encode: shown from its first result on; it says so if the result is old. */

import { originOf, valueOf } from "../graph/walk.js";
import { readScene, referencesOf, rootOf } from "../board/scene.js";
import { pairsOf } from "../board/verdict.js";
import { addView, every, fold, unfold, whileInGraph } from "../view.js";
import { followDuration } from "./duration.js";
import { findCached, resultOf } from "./last.js";
import { drawResult, makeResult } from "./view.js";

const WATCH_MILLISECONDS = 500;
// In pixels: everything but the references, one of them, and what scrolls from there on: a node grows by that much after
// its first run, and may stand in a group.
const [HEIGHT, ROW_HEIGHT, MOST_HEIGHT] = [208, 21, 200];

/**
 * Give an encode node its result view.
 * @param {object} node
 * @param {{app: object, api: object}} host
 */
export function addResult(node, host) {
  const view = makeResult();
  const held = { result: null, here: null, view, widget: null, seen: "", cases: new Map() };
  const { element, scroll } = view;
  held.widget = addView(node, {
    name: "result", type: "LUMOSX_RESULT", element, scroll, host,
    leastHeight: () => heightOf(held.result), tick: () => tick(node, host, held), remove: () => {},
  });
  fold(held.widget, element);
  whileInGraph(node, (signal) => {
    findCached(node, host, (result) => isCurrent(node, host, { result, cases: held.cases }), signal);
    const tell = (result, here) => (held.here = { of: runsOf(result), here });
    const look = followDuration(() => held.result, host, tell, signal);
    every(WATCH_MILLISECONDS, signal, () => watch(node, host, held, look));
  });
}

function heightOf(result) {
  return result ? Math.min(HEIGHT + ROW_HEIGHT * result.references.length, MOST_HEIGHT) : 0;
}

function watch(node, host, held, look) {
  const first = held.result === null;
  held.result = resultOf(node, host) ?? held.result;
  if (!held.result || !first) return;
  look();
  unfold(node, held.widget, held.view.element, heightOf(held.result));
  tick(node, host, held);
}

function tick(node, host, held) {
  const current = isCurrent(node, host, held);
  const result = withNewest(held);
  const seen = JSON.stringify([result, current]);
  if (seen === held.seen) return;
  held.seen = seen;
  drawResult(held.view, result, current);
}

/** The samplers behind a result, to compare them. */
function runsOf({ prediction }) {
  return JSON.stringify(prediction.runs ?? []);
}

/** A result with what later runs have shown of the time that it takes. */
function withNewest({ result, here }) {
  const newer = here?.of === runsOf(result) ? here.here : null;
  return newer ? { ...result, prediction: { ...result.prediction, here: newer } } : result;
}

/** Whether the graph still has the inputs of the last run, as far as the page can see. */
function isCurrent(node, host, { result, cases }) {
  const root = rootOf(host.app);
  const { tokens } = result;
  const sizes = ["width", "height", "frames"].map((name) => [valueOf(node, name, root), tokens[name]]);
  const prompt = valueOf(node, "prompt", root);
  // The host chooses between braces in every run, and removes comments and backslashes.
  const fixed = prompt.known && !/[{}\\]|\/\/|\/\*/.test(String(prompt.value)) ? [[prompt, result.prompt]] : [];
  return [...sizes, ...fixed].every(([{ known, value }, was]) => !known || value === was) && sameScene(node, host, root, result, cases);
}

function sameScene(node, host, root, result, cases) {
  const origin = originOf(node, "relations", root);
  if (origin?.node.comfyClass !== "LumosX_Binder") return true;
  const scene = readScene(origin, host, cases, null);
  return scene.unseen.length > 0 || pairsOf(referencesOf(scene), result.references) !== null;
}

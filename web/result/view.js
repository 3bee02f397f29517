/** Drawing a result: which pictures bind to which words, tokens, cost, and warnings. */

import { influenceNotes } from "../board/influence.js";
import { make, rebuild } from "../dom.js";
import { badgesOf, hueOf } from "../palette.js";
import { say } from "../words.js";
import { memory, number, share } from "./units.js";

/** The empty result view. */
export function makeResult() {
  const scroll = make("div", "lumosx-scroll");
  const element = make("div", "lumosx-result widget-expands", { role: "group", "aria-label": say("result") }, scroll);
  return { element, scroll };
}

/**
 * Draw the result of a run.
 * @param {ReturnType<typeof makeResult>} view
 * @param {object} result see the ui output of LumosX_RelationalEncode
 * @param {boolean} current whether the node's inputs are still those of that run
 */
export function drawResult({ element, scroll }, result, current) {
  element.classList.toggle("lumosx-old", !current);
  rebuild(scroll, [result, current], () => [
    head(result, current),
    bindings(result),
    tokens(result),
    facts(result),
    ...result.warnings.map(warning),
  ]);
}

function head({ references, warnings }, current) {
  const kind = warnings.length ? "warning" : "fine";
  const text = say("bound", { count: references.length });
  return make("div", "lumosx-head", {}, make("div", "lumosx-summary", { role: "status" },
    make("span", `lumosx-sign lumosx-sign-${kind}`, { "aria-hidden": "true" }, warnings.length ? "!" : "✓"),
    make("span", "lumosx-summary-text", {}, text),
    ...(current ? [] : [make("span", "lumosx-checked lumosx-last", { title: say("last_run_title") }, say("last_run"))]),
  ));
}

/** The order of the board, so that colours and badges are the same there. */
function boardOrder(references) {
  const rank = ({ person, full_body: body, kind }) => (kind === "background" ? 1e6 : person === null || body ? 1e5 : person);
  return [...references].sort((one, other) => rank(one) - rank(other));
}

function bindings({ references }) {
  const ordered = boardOrder(references);
  const badges = badgesOf(ordered);
  return make("div", "lumosx-bindings", { role: "list" }, ...ordered.map((reference, index) => binding(reference, badges[index])));
}

function binding(reference, badge) {
  const times = reference.token_spans.length;
  const notes = [
    ...(times > 1 ? [say("times", { count: times })] : []),
    ...(reference.occurrence ? [say("occurrence_short", { number: reference.occurrence })] : []),
    ...(reference.exact ? [] : [say("by_letters")]),
    ...(reference.shown ? [] : [say("words_only")]),
    ...influenceNotes(reference),
  ];
  return make("div", `lumosx-binding ${hueOf(reference)}`, { role: "listitem" },
    make("span", "lumosx-badge", {}, badge),
    make("span", "lumosx-kind", {}, say(`kind_${reference.full_body ? "full_body" : reference.kind}`)),
    make("span", "lumosx-bound", {}, make("mark", "lumosx-mark", {}, reference.words)),
    make("span", "lumosx-quiet", {}, notes.join(", ")),
  );
}

function tokens({ tokens: { video, references, total, prompt, prompt_limit: limit }, references: each }) {
  const parts = boardOrder(each).filter((reference) => reference.tokens).map((reference) => [hueOf(reference), reference.tokens]);
  return make("div", "lumosx-tokens", {},
    bar(say("tokens_of", { total: number(total), video: number(video), references: number(references) }), [["lumosx-hue-video", video], ...parts], total),
    bar(say("tokens_prompt", { count: prompt, limit }), [["lumosx-hue-text", prompt]], limit),
  );
}

function bar(label, parts, total) {
  const track = make("div", "lumosx-bar", { "aria-hidden": "true" });
  for (const [hue, count] of parts) {
    const part = make("span", hue);
    part.style.width = `${(100 * count) / total}%`;
    track.append(part);
  }
  return make("div", "lumosx-measure", {}, make("div", "lumosx-measure-text", {}, label), track);
}

function facts({ prediction, tokens: { width, height, frames } }) {
  const { activation_gb: activations, weights_gb: weights, model } = prediction;
  const sizes = { activations: memory(activations), weights: memory(weights), model };
  const rows = [
    ["fact_video", say("fact_size", { width, height, frames })],
    ["fact_memory", say(model ? "fact_sizes_of" : "fact_sizes", sizes)],
    ["fact_time", duration(prediction), ...(prediction.here ? [] : [" ", say("minutes_per_card")])],
    ["fact_references", say("fact_work", { share: share(prediction.work_ratio) })],
  ];
  return make("dl", "lumosx-facts", {}, ...rows.flatMap(([name, ...text]) => [make("dt", "", {}, say(name)), make("dd", "", {}, ...text)]));
}

/** How long sampling takes on this machine, once a run has shown it; else how heavy a step is. */
function duration({ here, time_class: heaviness, class_ratio: ratio }) {
  const time = say(`time_${heaviness.replaceAll(" ", "_")}`);
  if (!here) return say("fact_class", { time, share: share(ratio) });
  const { amount, unit, like } = here;
  return say(like ? "fact_here_like" : "fact_here", { amount: number(amount), unit: say(`unit_${unit}`, { count: amount }), class: time, ...like });
}

function warning(text) {
  return make("div", "lumosx-problem lumosx-warning", {},
    make("span", "lumosx-sign lumosx-sign-warning", { "aria-hidden": "true" }, "!"), make("span", "lumosx-advice", {}, text));
}

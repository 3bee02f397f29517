/** Drawing a board. Elements stay as long as the things that they show, so that typing is never interrupted. */

import { button, keyed, make, rebuild, setAttribute, setText } from "../dom.js";
import { badgesOf, hueOf } from "../palette.js";
import { say } from "../words.js";
import { KINDS } from "./building.js";
import { drawChip, drawFace, makeChip, makeFace, makePlus } from "./chip.js";
import { asksForOffers, complete, offer } from "./complete.js";
import { phrasesAt, phrasesFor } from "./offers.js";
import { drawPrompt, makePrompt, marksOf, placeOfLetter } from "./prompt.js";
import { referencesOf } from "./scene.js";
import { takeFiles } from "./takers.js";

/**
 * What a board can do.
 * @typedef {object} Actions
 * @property {(reference: object, values: {phrase?: string, occurrence?: number}, done: boolean) => void} set
 * @property {() => void} done ends an edit, for undo
 * @property {(reference: object, element: HTMLElement) => void} press on its thumbnail
 * @property {(reference: object, event: PointerEvent) => void} grab
 * @property {(key: string) => void} chooseEncoder
 * @property {(node: object) => void} show
 * @property {(text: string) => void} type into the prompt
 * @property {() => string} promptText
 * @property {() => string[]} phrases of all references
 * @property {(reference: object, files: File[]) => void} give a picture
 * @property {(taker: HTMLElement) => void} offer a menu on what takes pictures
 * @property {(kind: import("./building.js").Kind, files: File[] | null) => void} add to the scene; null: without pictures
 * @property {(words: string, files: File[], anchor: HTMLElement) => void} nameByWords asks what a picture for words shows
 * @property {(person: object, files: File[] | null) => void} addThingOf a person; null: ask for pictures
 */

/**
 * The empty board.
 * @param {Actions} actions
 */
export function makeBoard(actions) {
  const parts = {
    summary: make("div", "lumosx-summary", { role: "status" }),
    encoder: make("select", "lumosx-select lumosx-encoder", { "aria-label": say("encoder") }),
    notes: make("div", "lumosx-notes"),
    prompt: makePrompt(actions),
    people: make("div", "lumosx-people"),
    things: make("div", "lumosx-things lumosx-chips", { role: "group", "aria-label": say("things") }),
    unseen: make("div", "lumosx-unseen"),
    adding: make("div", "lumosx-adding", {}, ...KINDS.map((kind) => makeAdder(kind, actions))),
  };
  offerPhrases(parts.prompt, actions);
  parts.encoder.addEventListener("change", () => actions.chooseEncoder(parts.encoder.value));
  const head = make("div", "lumosx-head", {}, parts.summary, parts.encoder);
  const scroll = make("div", "lumosx-scroll", {}, head, parts.notes, parts.prompt, parts.people, parts.things, parts.unseen, parts.adding);
  const element = make("div", "lumosx-board widget-expands", { role: "group", "aria-label": say("board") }, scroll);
  takeFiles(element, actions.offer);
  return { element, scroll, parts, actions };
}

function offerPhrases(prompt, actions) {
  const { field } = prompt;
  const placeOf = (from) => placeOfLetter(prompt, from);
  complete(field, (text, caret) => phrasesAt(text, caret, actions.phrases()), placeOf);
  field.addEventListener("keydown", (event) => {
    if (!asksForOffers(event) || field.readOnly) return;
    event.preventDefault();
    offer(field, phrasesFor(field.value, field.selectionStart, actions.phrases()), placeOf);
  });
  const words = () => field.value.slice(field.selectionStart, field.selectionEnd).trim();
  // A picture that is dropped on words is a picture of what they name.
  const take = (files) => actions.nameByWords(words(), files, field);
  Object.defineProperty(prompt, "take", { get: () => (words() ? take : null) });
}

function makeAdder(kind, actions) {
  const element = makePlus("lumosx-add", (files) => actions.add(kind, files));
  element.kind = kind;
  element.textContent = `+ ${say(`add_${kind}`)}`;
  return element;
}

/**
 * Draw what is known.
 * @param {ReturnType<typeof makeBoard>} board
 * @param {{scene: object, problems: object, ranges: Map<string, [number, number][]>, checked: boolean,
 *   asked: boolean, failed: boolean, refusal: string | null, encoders: {key: string, title: string}[], encoderKey: string | null}} state
 */
export function drawBoard(board, state) {
  const { parts, actions } = board;
  const references = referencesOf(state.scene);
  const badges = badgesOf(references);
  const looks = references.map((reference, index) => ({ badge: badges[index], hue: hueOf(reference) }));
  const lookOf = new Map(references.map((reference, index) => [reference.id, looks[index]]));
  const context = { ...state, actions, lookOf };
  drawSummary(parts.summary, state, references);
  drawEncoders(parts.encoder, state);
  drawNotes(parts.notes, state);
  drawPrompt(parts.prompt, state.scene.prompt, marksOf(references, state.ranges, looks), absence(state.scene));
  keyed(parts.people, state.scene.people, (person) => person.id, () => makeRow(context), (row, person) => drawRow(row, person, context));
  drawThings(parts.things, context);
  drawUnseen(parts.unseen, state.scene.unseen, actions);
  drawAdders(parts.adding, state);
}

function drawAdders(element, { hasRoom }) {
  for (const each of element.children) {
    each.disabled = !hasRoom(each.kind);
    setAttribute(each, "title", say(each.disabled ? `no_room_${each.kind}` : "add_title"));
  }
}

function absence({ prompt }) {
  if (!prompt.chosen) return say("no_encoder");
  return say("prompt_elsewhere", { title: prompt.from ?? "?" });
}

const SIGNS = { problem: "!", warning: "!", fine: "✓", waiting: "…", idle: "?" };

function drawSummary(element, state, references) {
  const [kind, text] = summaryOf(state, references);
  rebuild(element, [kind, text, state.checked], () => [
    make("span", `lumosx-sign lumosx-sign-${kind}`, { "aria-hidden": "true" }, SIGNS[kind]),
    make("span", "lumosx-summary-text", {}, text),
    ...(state.checked ? [make("span", "lumosx-checked", { title: say("checked_title") }, say("checked"))] : []),
  ]);
}

/** The summary of a board, as a sign and a sentence. */
function summaryOf({ problems, asked, failed, scene }, references) {
  if (problems.errors) return ["problem", say("problems", { count: problems.errors })];
  if (!references.length) return ["idle", say(scene.unseen.length ? "nothing_shown" : "nobody_yet")];
  if (failed) return ["idle", say("not_checked")];
  if (scene.prompt.text === null) return ["idle", say("no_prompt_yet")];
  if (!asked) return ["waiting", say("checking")];
  const partly = scene.unseen.length > 0 || references.some((each) => !each.known);
  const key = partly ? "all_shown_binds" : "all_binds";
  return problems.warnings ? ["warning", say(`${key}_but`, { count: problems.warnings })] : ["fine", say(key)];
}

function drawEncoders(select, { encoders, encoderKey }) {
  select.hidden = encoders.length < 2;
  rebuild(select, encoders, () => encoders.map(({ key, title }) => make("option", "", { value: key }, title)));
  if (encoderKey !== null && select.value !== encoderKey) select.value = encoderKey;
}

/** @typedef {{level?: string, text: string, more?: string, buttons?: {text: string, run: () => void}[]}} Note */

function drawNotes(element, { failed, refusal, problems, notes: own }) {
  const notes = [...(failed ? [{ text: refusal ?? say("offline") }] : []), ...own, ...problems.board];
  rebuild(element, notes, () => notes.map(drawNote));
}

/** @param {Note} note */
function drawNote({ level, text, more, buttons = [] }) {
  const sign = level ? [make("span", `lumosx-sign lumosx-sign-${level}`, { "aria-hidden": "true" }, "!")] : [];
  const pressed = buttons.map((each) => button("lumosx-fix", each.text, each.run));
  const words = make("span", "lumosx-advice", {}, make("span", "", {}, text), ...pressed);
  const preview = more ? [make("div", "lumosx-preview", {}, more)] : [];
  return make("div", `lumosx-note lumosx-${level ?? "quiet"}`, {}, make("div", "lumosx-problem", {}, ...sign, words), ...preview);
}

function makeRow({ actions }) {
  const row = make("div", "lumosx-row", { role: "group" });
  row.face = makeFace(actions);
  row.chips = make("div", "lumosx-chips");
  row.problems = make("div", "lumosx-problems");
  row.origin = make("div", "lumosx-quiet lumosx-origin");
  row.append(row.face, row.chips, row.problems, row.origin);
  return row;
}

function drawRow(row, person, context) {
  const index = context.scene.people.indexOf(person);
  const name = say("person", { number: index + 1 });
  setAttribute(row, "aria-label", name);
  row.className = `lumosx-row ${hueOf({ kind: "face", person: index })}`;
  const face = person.references.find((reference) => reference.kind === "face") ?? null;
  drawFace(row.face, face, person, index, context);
  const others = person.references.filter((reference) => reference !== face);
  drawChips(row.chips, others, context);
  drawProblems(row.problems, [...(face ? problemsAt(face, context) : []), ...problemsAt(person, context)], face, context);
  setText(row.origin, person.readOnly ? originText(person) : "");
  row.origin.hidden = !person.readOnly;
}

function originText(person) {
  return person.title ? say("read_only", { title: person.title }) : say("from_last_run");
}

function problemsAt(thing, { problems }) {
  return problems.byId.get(thing.id) ?? [];
}

function drawChips(element, references, context) {
  element.hidden = !references.length;
  keyed(element, references, (each) => each.id, () => makeChip(context.actions), (chip, reference) => {
    drawChip(chip, reference, context);
    drawProblems(chip.problems, problemsAt(reference, context), reference, context);
  });
}

function drawThings(element, context) {
  const { objects, background } = context.scene;
  drawChips(element, [...objects, ...(background ? [background] : [])], context);
}

/** The problems of one reference, each with its buttons. */
function drawProblems(element, problems, reference, { actions }) {
  element.hidden = !problems.length;
  const key = problems.map(({ level, text, fixes }) => [level, text, fixes.map((fix) => fix.text)]);
  rebuild(element, [reference?.id, key], () => problems.map((problem) => drawProblem(problem, element, actions)));
  element.reference = reference;
}

function drawProblem({ level, text, fixes }, element, actions) {
  const sign = make("span", `lumosx-sign lumosx-sign-${level}`, { "aria-hidden": "true" }, "!");
  const buttons = fixes.map((fix) => {
    const use = () => actions.set(element.reference, fix.set, true);
    return button("lumosx-fix", fix.text, use, { "aria-label": fix.label, title: fix.label });
  });
  return make("div", `lumosx-problem lumosx-${level}`, {}, sign, make("span", "lumosx-advice", {}, text, ...buttons));
}

function drawUnseen(element, unseen, actions) {
  element.hidden = !unseen.length;
  rebuild(element, unseen.map(({ title }) => title), () =>
    unseen.map(({ title, node }) =>
      make("div", "lumosx-quiet", {}, make("span", "", {}, say("unseen", { title })), " ",
        button("lumosx-link", say("show_node"), () => actions.show(node))),
    ),
  );
}

/** A reference on the board: thumbnail, badge, words, and which occurrence of them. */

import { button, make, rebuild, setAttribute, setText, undoOnlyInFocus } from "../dom.js";
import { hueOf } from "../palette.js";
import { say } from "../words.js";
import { complete } from "./complete.js";
import { runsOf } from "./offers.js";
import { enlarge } from "./zoom.js";

const MOST_OCCURRENCES = 5;

/** The face of a row and the words of that person. @param {import("./view.js").Actions} actions */
export function makeFace(actions) {
  const element = make("div", "lumosx-face");
  element.picture = makePicture(actions, element, "lumosx-thumb lumosx-thumb-face");
  addWords(element, actions);
  element.plus = makePlus("lumosx-plus", (files) => actions.addThingOf(element.person, files));
  element.append(element.picture, element.field, element.which, element.plus);
  element.picture.addEventListener("pointerdown", (event) => grab(event, element, actions));
  return element;
}

/** A button that adds something: pressed, or with pictures that are dropped or pasted. */
export function makePlus(className, add) {
  const element = button(className, "+", () => add(null));
  element.take = add;
  return element;
}

/** An attribute, an object or the background. @param {import("./view.js").Actions} actions */
export function makeChip(actions) {
  const element = make("div", "lumosx-chip", { role: "group" });
  element.picture = makePicture(actions, element, "lumosx-thumb");
  addWords(element, actions);
  element.problems = make("div", "lumosx-problems");
  const line = make("div", "lumosx-line", { tabindex: "-1" }, element.picture, element.field, element.which);
  line.addEventListener("pointerdown", (event) => grab(event, element, actions));
  element.append(line, element.problems);
  return element;
}

function grab(event, element, actions) {
  const onText = event.target === element.field && !element.field.readOnly;
  const canGo = element.movable || Boolean(element.reference?.phrase.trim());
  if (event.button === 0 && !onText && event.target !== element.which && canGo) actions.grab(element.reference, event);
}

function makePicture(actions, owner, className) {
  const picture = make("button", className, { type: "button", "aria-haspopup": "menu" });
  picture.image = make("img", "", { alt: "", draggable: "false" });
  picture.image.addEventListener("error", () => (picture.image.hidden = true));
  picture.badge = make("span", "lumosx-badge");
  picture.append(picture.image, picture.badge);
  picture.addEventListener("click", () => owner.reference && actions.press(owner.reference, picture));
  enlarge(picture);
  return picture;
}

function addWords(element, actions) {
  const field = make("input", "lumosx-field", { type: "text", spellcheck: "false", autocomplete: "off" });
  undoOnlyInFocus(field);
  complete(field, (text, caret) => {
    const runs = caret === text.length ? runsOf(actions.promptText(), text) : [];
    return runs.map((run) => ({ from: 0, text: run }));
  });
  field.addEventListener("input", () => actions.set(element.reference, { phrase: field.value }, false));
  field.addEventListener("change", () => actions.done());
  field.addEventListener("keydown", (event) => event.key === "Enter" && field.blur());
  const which = make("select", "lumosx-select lumosx-which");
  which.addEventListener("change", () => actions.set(element.reference, { occurrence: Number(which.value) }, true));
  Object.assign(element, { field, which });
}

/** Draw the face of a person; `face` is null when there are only attributes, but it can be named. */
export function drawFace(element, face, person, index, context) {
  const vacant = { id: person.id, kind: "face", phrase: "", occurrence: 0, image: null, node: null, slot: null, shown: false, paused: null };
  const stand = face ?? person.face ?? vacant;
  const name = say("person", { number: index + 1 });
  const look = { badge: String(index + 1), hue: hueOf({ kind: "face", person: index }) };
  drawPicture(element, stand, look, name, context);
  drawWords(element, stand, say("words_of", { name }), context);
  drawPlus(element, person, name, context);
}

function drawPlus(element, person, name, { canWearMore }) {
  const { plus } = element;
  element.person = person;
  plus.hidden = !person.node || person.readOnly;
  const more = !plus.hidden && canWearMore(person);
  plus.disabled = !more;
  const label = say(more ? "add_thing_of" : "person_is_full", { name });
  setAttribute(plus, "aria-label", label);
  setAttribute(plus, "title", label);
}

/** Draw a chip. @param {import("./scene.js").Reference} reference */
export function drawChip(element, reference, context) {
  const look = context.lookOf.get(reference.id);
  const name = `${look.badge} ${say(`kind_${reference.full_body ? "full_body" : reference.kind}`)}`;
  element.className = `lumosx-chip ${look.hue}`;
  element.movable = isMovable(reference);
  element.classList.toggle("lumosx-movable", element.movable);
  setAttribute(element, "aria-label", `${name}: ${reference.phrase}`);
  drawPicture(element, reference, look, name, context);
  drawWords(element, reference, say("words_of", { name }), context);
}

/** Whether a reference can be dragged to another place. */
export function isMovable(reference) {
  return Boolean(reference.node && reference.slot && reference.linked && !reference.full_body)
    && (reference.kind === "attribute" || reference.kind === "object");
}

function drawPicture(element, reference, look, name, { canTake, actions }) {
  const { picture } = element;
  const takes = canTake(reference);
  element.reference = reference;
  element.take = takes ? (files) => actions.give(element.reference, files) : null;
  const isVacant = !reference.shown && !reference.paused;
  const label = isVacant && takes ? say("choose_picture") : say("menu_of", { words: reference.phrase });
  setAttribute(picture, "aria-label", `${name}: ${label}`);
  setAttribute(picture, "title", titleOf(reference, isVacant && takes));
  setText(picture.badge, look.badge);
  picture.badge.className = `lumosx-badge ${look.hue}`;
  picture.classList.toggle("lumosx-vacant", isVacant);
  picture.classList.toggle("lumosx-paused", reference.paused !== null);
  if (picture.image.getAttribute("src") !== (reference.image ?? null)) {
    picture.image.hidden = !reference.image;
    setAttribute(picture.image, "src", reference.image);
  }
}

function titleOf(reference, isForChoice) {
  if (isForChoice) return say("choose_picture_title");
  return reference.image || !reference.shown ? null : say("no_preview");
}

function drawWords(element, reference, label, context) {
  const { field, which } = element;
  const fixed = !reference.node || reference.phraseLinked;
  if (field.value !== reference.phrase) field.value = reference.phrase;
  field.readOnly = fixed;
  setAttribute(field, "aria-label", label);
  setAttribute(field, "placeholder", say(reference.known === false ? "words_elsewhere" : "words_placeholder"));
  setAttribute(field, "title", reference.phrase || null);
  const invalid = (context.problems.byId.get(reference.id) ?? []).some((problem) => problem.level === "error");
  setAttribute(field, "aria-invalid", invalid ? "true" : null);
  drawWhich(which, reference, context.counts.get(reference.id) ?? 0, label);
}

function drawWhich(which, reference, count, label) {
  which.hidden = !reference.node || (!reference.occurrence && count < 2);
  const most = Math.max(Math.min(count, MOST_OCCURRENCES), reference.occurrence);
  setAttribute(which, "aria-label", `${label}: ${say("occurrence")}`);
  rebuild(which, most, () => Array.from({ length: most + 1 }, (_, number) => {
    const text = number ? say("occurrence_short", { number }) : say("all_occurrences");
    return make("option", "", { value: String(number) }, text);
  }));
  if (which.value !== String(reference.occurrence)) which.value = String(reference.occurrence);
}

/** Suggestions below a text field while typing: arrows choose, Enter or a click takes, Escape closes. */

import { make, rebuild, setAttribute } from "../dom.js";

let fields = 0;
/** @type {WeakMap<HTMLElement, object>} what is offered in each field */
const STATES = new WeakMap();

/** @typedef {{from: number, text: string}} Offer a text to stand from a letter up to the caret */

/**
 * Suggest words in a field. Nothing is selected until an arrow key is pressed, so Enter and Tab keep their meaning.
 * @param {HTMLInputElement | HTMLTextAreaElement} field
 * @param {(text: string, caret: number) => Offer[]} offersFor
 * @param {(from: number) => DOMRect} placeOf where the list belongs
 */
export function complete(field, offersFor, placeOf = () => field.getBoundingClientRect()) {
  const list = make("div", "lumosx-menu lumosx-offers", { role: "listbox", id: `lumosx-offers-${++fields}` });
  const state = { field, list, offers: [], chosen: -1 };
  STATES.set(field, state);
  field.setAttribute("aria-autocomplete", "list");
  field.addEventListener("input", (event) => {
    const caret = field.selectionStart;
    const typing = !field.readOnly && /^(insertText|insertComposition|delete)/.test(event.inputType ?? "");
    show(state, typing && caret === field.selectionEnd ? offersFor(field.value, caret) : [], placeOf);
  });
  // Before the field's own keys.
  field.addEventListener("keydown", (event) => onKey(event, state), { capture: true });
  for (const name of ["blur", "pointerdown"]) field.addEventListener(name, () => show(state, [], placeOf));
}

/** Whether a key asks for everything that fits. */
export function asksForOffers({ key, code, ctrlKey, altKey, metaKey, shiftKey, isComposing }) {
  return ctrlKey && (code === "Space" || key === " ") && !altKey && !metaKey && !shiftKey && !isComposing;
}

/**
 * Suggest words in a field that was asked for them: the first is chosen already.
 * @param {HTMLInputElement | HTMLTextAreaElement} field
 * @param {Offer[]} offers
 * @param {(from: number) => DOMRect} [placeOf]
 */
export function offer(field, offers, placeOf = () => field.getBoundingClientRect()) {
  if (!STATES.has(field)) complete(field, () => [], placeOf);
  const state = STATES.get(field);
  show(state, offers, placeOf, 0);
}

function show(state, offers, placeOf, chosen = -1) {
  const { field, list } = state;
  Object.assign(state, { offers, chosen });
  setAttribute(field, "aria-controls", offers.length ? list.id : null);
  setAttribute(field, "aria-activedescendant", null);
  if (!offers.length) return void list.remove();
  rebuild(list, offers, () => offers.map((offer, index) => optionOf(state, offer, index)));
  mark(state);
  if (!list.isConnected) document.body.append(list);
  const { left, bottom, top } = placeOf(offers[0].from);
  const { width, height } = list.getBoundingClientRect();
  list.style.left = `${Math.max(4, Math.min(left, window.innerWidth - width - 8))}px`;
  list.style.top = `${bottom + height + 8 < window.innerHeight ? bottom + 3 : top - height - 3}px`;
}

function optionOf(state, offer, index) {
  const option = make("div", "lumosx-offer", { role: "option", id: `${state.list.id}-${index}` }, offer.text);
  option.addEventListener("pointerdown", (event) => {
    // The field keeps its focus.
    event.preventDefault();
    event.stopPropagation();
    take(state, offer);
  });
  return option;
}

function mark({ field, list, chosen }) {
  [...list.children].forEach((option, index) => option.setAttribute("aria-selected", String(index === chosen)));
  setAttribute(field, "aria-activedescendant", list.children[chosen]?.id ?? null);
}

function onKey(event, state) {
  const { offers, chosen } = state;
  if (!offers.length || event.isComposing) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    state.chosen = chosen < 0 && step < 0 ? offers.length - 1 : (chosen + step + offers.length) % offers.length;
    mark(state);
  } else if (event.key === "Enter" && chosen >= 0) {
    take(state, offers[chosen]);
  } else if (event.key === "Escape") {
    show(state, []);
  } else {
    return;
  }
  event.preventDefault();
  event.stopImmediatePropagation();
}

function take(state, { from, text }) {
  const { field } = state;
  field.setSelectionRange(from, field.selectionStart);
  show(state, []);
  // As typing, which the field itself can undo.
  if (document.execCommand("insertText", false, text)) return show(state, []);
  field.setRangeText(text, from, field.selectionEnd, "end");
  field.dispatchEvent(new InputEvent("input", { bubbles: true }));
}

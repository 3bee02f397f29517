/** Moving pictures with their words: by dragging, by a menu, and afterwards in the prompt. */

import { setWidget, widgetOf } from "../graph/values.js";
import { badgesOf, hueOf } from "../palette.js";
import { say } from "../words.js";
import { isMovable } from "./chip.js";
import { drag } from "./drag.js";
import { openMenu } from "./menu.js";
import { letterAt } from "./prompt.js";
import { canSwap, exchange, placeAt } from "./rebind.js";
import { exchangeWords, moveWords, withWords } from "./rewrite.js";
import { referencesOf } from "./scene.js";

export class Moves {
  /** @param {object} board */
  constructor(board) {
    this.board = board;
    this.left = null;
  }

  /** The moves of a reference, for its menu. */
  entriesOf(reference) {
    if (!isMovable(reference)) return [];
    const { scene } = this.board;
    const entries = [];
    scene.people.forEach((person, index) => {
      const place = placeAt(reference, person);
      const text = moveText(person, index);
      if (place) entries.push({ text, run: () => this.exchange(reference, place, person) });
    });
    const others = referencesOf(scene).filter((each) => isMovable(each) && canSwap(reference, each));
    return [...entries, ...others.map((other) => ({ text: swapText(other), run: () => this.exchange(reference, other) }))];
  }

  openMenu(anchor, label, entries, take) {
    this.closeMenu?.();
    this.closeMenu = openMenu(anchor, label, entries, take);
  }

  grab(reference, event) {
    const references = referencesOf(this.board.scene);
    const badge = badgesOf(references)[references.findIndex((each) => each.id === reference.id)];
    const ghost = { badge, hue: hueOf(reference), text: reference.phrase, image: reference.image };
    drag(event, { ghost, targetAt: (element, point) => this.targetAt(reference, element, point) });
  }

  /** What a chip would do when dropped on an element: change places with a chip, go to a person, or into the prompt. */
  targetAt(reference, element, point) {
    const { scene, view } = this.board;
    if (!element || !view.element.contains(element)) return null;
    if (element.closest(".lumosx-prompt")) return this.promptTarget(reference, point);
    if (!isMovable(reference)) return null;
    const chip = element.closest(".lumosx-chip");
    const other = chip && referencesOf(scene).find((each) => each.id === chip.dataset.key);
    if (other && isMovable(other) && canSwap(reference, other) && !sameOwner(reference, other)) {
      return { element: chip, kind: "swap", text: `⇄ ${swapText(other)}`, drop: () => this.exchange(reference, other) };
    }
    const row = element.closest(".lumosx-row");
    const index = row ? scene.people.findIndex((each) => each.id === row.dataset.key) : -1;
    return index < 0 ? null : this.targetOf(reference, row, index);
  }

  promptTarget({ phrase }, point) {
    const { prompt } = this.board.view.parts;
    if (!this.board.scene.prompt.holder || !phrase.trim()) return null;
    const drop = () => this.insert(phrase.trim(), letterAt(prompt, point));
    return { element: prompt, kind: "move", text: say("insert_words", { words: phrase }), drop };
  }

  /** Write words into the prompt, a space apart from what is there. */
  insert(words, offset) {
    const { text, holder } = this.board.scene.prompt;
    if (!holder) return;
    this.board.step(() => setWidget(holder, withWords(text, words, offset)));
    this.board.tick();
  }

  targetOf(reference, row, index) {
    const person = this.board.scene.people[index];
    const place = placeAt(reference, person);
    if (place) {
      const drop = () => this.exchange(reference, place, person);
      return { element: row, kind: "move", text: `→ ${moveText(person, index)}`, drop };
    }
    const isFull = reference.kind === "attribute" && person.node && !person.readOnly && person.node !== reference.node;
    return isFull ? { element: null, kind: null, text: say("drop_on_one", { number: index + 1 }), drop: null } : null;
  }

  /** Exchange the contents of two places, and remember what the prompt still says. */
  exchange(reference, place, person = null) {
    // Either can have been deleted since the drag or the menu began.
    if (!reference.node.graph || !place.node.graph) return;
    const left = this.leftBehind(reference, place, person);
    this.board.step(() => exchange(reference, place));
    this.left = left;
    this.board.tick();
    this.board.focusOn(place, "picture");
  }

  /** What the prompt says of both places now; it will not be right afterwards. */
  leftBehind(reference, place, person) {
    const { scene } = this.board;
    const ranges = this.board.ranges();
    const own = ranges.get(reference.id) ?? [];
    if (!own.length || reference.phrase === place.phrase) return null;
    const found = { text: scene.prompt.text, place, phrase: reference.phrase, occurrence: reference.occurrence };
    if (!person) {
      const theirs = ranges.get(place.id) ?? [];
      const changed = exchangeWords(found.text, own, theirs);
      return theirs.length ? { ...found, key: "swapped", values: { words: reference.phrase, other: place.phrase }, changed } : null;
    }
    const giver = scene.people[reference.person]?.references ?? [];
    const others = giver.filter((each) => each.id !== reference.id && each.kind === "attribute");
    const siblings = others.flatMap(({ id }) => ranges.get(id) ?? []);
    const after = person.references.findLast((each) => ranges.get(each.id)?.length);
    const anchor = after && { range: ranges.get(after.id)[0], isThing: after.kind === "attribute" };
    const changed = anchor && own.length === 1 ? moveWords(found.text, own[0], siblings, anchor) : null;
    return { ...found, key: "moved", values: { words: reference.phrase, person: nameOf(person) }, changed };
  }

  /** The message about the last move, as long as it applies. @returns {import("./view.js").Note[]} */
  notes() {
    const { left } = this;
    if (!left) return [];
    const { text, holder } = this.board.scene.prompt;
    const { node, slot } = left.place;
    const stays = node.graph && widgetOf(node, slot.phrase)?.value === left.phrase;
    if (text !== left.text || !stays) this.left = null;
    if (!this.left) return [];
    const buttons = [{ text: say("leave_prompt"), run: () => this.dismiss() }];
    const canChange = holder !== null && left.changed !== null;
    if (canChange) buttons.unshift({ text: say(`change_${left.key}`), run: () => this.changePrompt() });
    return [{ level: "warning", text: say(`left_${left.key}`, left.values), more: canChange ? left.changed : undefined, buttons }];
  }

  dismiss() {
    this.left = null;
    this.board.tick();
  }

  changePrompt() {
    const { holder } = this.board.scene.prompt;
    const { left } = this;
    if (!left || !holder) return;
    this.left = null;
    this.board.step(() => setWidget(holder, left.changed));
    this.board.tick();
  }
}

function moveText(person, index) {
  return say("move_to", { number: index + 1, words: nameOf(person) });
}

function swapText(other) {
  return say("swap_with", { words: other.phrase || "…" });
}

/** Two attributes of one node only change their order: no drop target, but in the menu. */
function sameOwner(one, other) {
  return one.node === other.node;
}

function nameOf(person) {
  return person.references[0]?.phrase || person.title;
}

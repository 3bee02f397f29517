/** The board of one Binder: reads the graph a few times a second, asks the server, draws, and writes widget values. */

import { asOneStep, setValue } from "../graph/values.js";
import { outputKey } from "../graph/walk.js";
import { addView } from "../view.js";
import { say } from "../words.js";
import { drag } from "./drag.js";
import { openMenu } from "./menu.js";
import { problemsOf } from "./problems.js";
import { canSwap, exchange, placeAt } from "./rebind.js";
import { readScene, referencesOf, titleOf } from "./scene.js";
import { ask, checkedBy, foundBy, questionOf } from "./verdict.js";
import { drawBoard, makeBoard } from "./view.js";
import { isMovable } from "./chip.js";
import { badgesOf, hueOf } from "../palette.js";

const DEBOUNCE_MILLISECONDS = 120;
const RETRY_MILLISECONDS = 5000;
const CASE_MILLISECONDS = 10_000;
const LEAST_HEIGHT = 210;
const FIRST_SIZE = [460, 580];

/**
 * Give a Binder its board.
 * @param {object} node
 * @param {{app: object, api: object}} host
 */
export function addBoard(node, host) {
  const board = new Board(node, host);
  addView(node, {
    name: "board", type: "LUMOSX_BOARD", element: board.view.element, scroll: board.view.scroll, host,
    leastHeight: () => LEAST_HEIGHT, tick: () => board.tick(), remove: () => board.remove(),
  });
  node.setSize?.([Math.max(node.size[0], FIRST_SIZE[0]), Math.max(node.size[1], FIRST_SIZE[1])]);
}

class Board {
  constructor(node, host) {
    Object.assign(this, { node, host, cases: new Map(), encoderKey: null, answer: null, asked: "", seen: "", failed: false });
    Object.assign(this, { refusal: null, caseDue: new Map() });
    this.question = null;
    this.typed = false;
    this.view = makeBoard({
      set: (reference, values, done) => this.set(reference, values, done),
      done: () => this.endTyping(),
      menu: (reference, anchor) => this.menu(reference, anchor),
      grab: (reference, event) => this.grab(reference, event),
      chooseEncoder: (key) => this.chooseEncoder(key),
      show: (other) => this.show(other),
    });
  }

  /** Read the graph; draw and ask only when something is different. */
  tick() {
    this.scene = readScene(this.node, this.host, this.cases, this.encoderKey);
    this.scene.cases.forEach((query) => this.fetchCase(query));
    const question = questionOf(this.scene);
    const asked = JSON.stringify(question);
    if (asked !== this.asked) this.askSoon(question, asked);
    this.draw();
  }

  draw() {
    const checked = checkedBy(this.scene, this.host);
    this.notePictures(checked);
    const marks = checked && [[...checked.ranges], checked.found];
    const seen = JSON.stringify([plain(this.scene), this.answer, this.failed, this.refusal, marks, this.fresh]);
    if (seen === this.seen) return;
    this.seen = seen;
    drawBoard(this.view, this.state(checked));
  }

  /** Which pictures the encoder was given: what it says of one is nothing about another in its place. */
  notePictures(checked) {
    if (!checked || this.given?.result === checked.result) return;
    this.given = { result: checked.result, images: imagesOf(this.scene) };
  }

  state(checked) {
    const answer = this.fresh || this.answer ? this.answer : null;
    const ranges = checked?.ranges ?? new Map((answer?.references ?? []).map((each) => [each.id, each.ranges]));
    const images = imagesOf(this.scene);
    const isSame = (id) => images.get(id) === this.given?.images.get(id);
    const { encoders, chosen } = this.scene.prompt;
    return {
      scene: this.scene,
      problems: problemsOf(this.scene, foundBy(answer, checked, isSame)),
      ranges: this.fresh || checked ? ranges : new Map(),
      counts: new Map((answer?.references ?? []).map((each) => [each.id, each.count])),
      checked: checked !== null,
      asked: this.fresh && answer !== null,
      failed: this.failed,
      refusal: this.refusal,
      encoders: encoders.map((encoder) => ({ key: outputKey(encoder), title: `${titleOf(encoder)} #${encoder.id}` })),
      encoderKey: chosen && outputKey(chosen),
    };
  }

  /** Ask after a pause in typing; an answer to an older question is dropped. */
  askSoon(question, asked) {
    this.asked = asked;
    this.fresh = false;
    this.question?.abort();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(question), DEBOUNCE_MILLISECONDS);
  }

  async ask(question) {
    const mine = (this.question = new AbortController());
    try {
      const { answer, refusal } = await ask(this.host.api, question, mine.signal);
      if (mine.signal.aborted) return;
      Object.assign(this, { answer, refusal, failed: refusal !== null, fresh: refusal === null });
    } catch {
      if (mine.signal.aborted) return;
      Object.assign(this, { answer: null, refusal: null, failed: true, fresh: false });
      this.timer = setTimeout(() => (this.asked = ""), RETRY_MILLISECONDS);
    }
    this.draw();
  }

  /** Ask for a case when it is due: its files can be edited, and what failed can work later. */
  async fetchCase(query) {
    if (performance.now() < (this.caseDue.get(query) ?? 0)) return;
    this.caseDue.set(query, Infinity);
    const held = await this.heldCase(query);
    this.cases.set(query, held);
    this.caseDue.set(query, performance.now() + (held ? CASE_MILLISECONDS : RETRY_MILLISECONDS));
  }

  async heldCase(query) {
    try {
      const answer = await this.host.api.fetchApi(`/lumosx/case?${query}`);
      return answer.ok ? await answer.json() : null;
    } catch {
      // The row then says where it comes from, and no more.
      return null;
    }
  }

  set(reference, values, done) {
    const { node, slot } = reference;
    if (!node || !slot) return;
    const write = () => Object.entries(values).forEach(([name, value]) => setValue(node, slot[name], value));
    if (done) {
      this.step(write);
    } else {
      this.typed = true;
      write();
    }
    this.tick();
  }

  /** Make what was typed a step of undo of its own. */
  endTyping() {
    // Fields report a change once more while undo takes them off the page, and hosts would note that as a new step.
    if (!this.typed) return;
    this.typed = false;
    asOneStep(this.host, () => {});
  }

  /** Change the graph as one step of undo, apart from what was typed before. */
  step(change) {
    this.endTyping();
    return asOneStep(this.host, change);
  }

  chooseEncoder(key) {
    this.encoderKey = key;
    this.tick();
  }

  show(node) {
    const { canvas } = this.host.app;
    if (node.graph && node.graph !== canvas.graph) canvas.setGraph?.(node.graph);
    canvas.centerOnNode(node);
    canvas.selectNode?.(node);
  }

  menu(reference, anchor) {
    const entries = this.entriesOf(reference);
    if (entries.length) this.closeMenu = openMenu(anchor, say("menu_of", { words: reference.phrase }), entries);
  }

  entriesOf(reference) {
    const entries = [];
    const { people } = this.scene;
    people.forEach((person, index) => {
      const place = isMovable(reference) && placeAt(reference, person);
      const values = { number: index + 1, words: nameOf(person) };
      if (place) entries.push({ text: say("move_to", values), run: () => this.exchange(reference, place) });
    });
    const others = isMovable(reference) ? referencesOf(this.scene).filter((each) => isMovable(each) && canSwap(reference, each)) : [];
    for (const other of others) {
      entries.push({ text: say("swap_with", { words: other.phrase || "…" }), run: () => this.exchange(reference, other) });
    }
    if (reference.occurrence) entries.push({ text: say("any_occurrence"), run: () => this.set(reference, { occurrence: 0 }, true) });
    if (reference.node) entries.push({ text: say("show_node"), run: () => this.show(reference.node) });
    return entries;
  }

  exchange(reference, place) {
    // Either can have been deleted since the drag or the menu began.
    if (!reference.node.graph || !place.node.graph) return;
    this.step(() => exchange(reference, place));
    this.tick();
    const moved = referencesOf(this.scene).find((each) => each.node === place.node && each.slot.image === place.slot.image);
    const chips = [...this.view.element.querySelectorAll(".lumosx-chip")];
    chips.find((chip) => chip.dataset.key === moved?.id)?.picture.focus({ preventScroll: true });
  }

  grab(reference, event) {
    const references = referencesOf(this.scene);
    const badge = badgesOf(references)[references.findIndex((each) => each.id === reference.id)];
    const ghost = { badge, hue: hueOf(reference), text: reference.phrase, image: reference.image };
    drag(event, { ghost, targetAt: (element) => this.targetAt(reference, element) });
  }

  /** What a chip would do when dropped on an element: change places with a chip, or go to a person. */
  targetAt(reference, element) {
    if (!element || !this.view.element.contains(element)) return null;
    const chip = element.closest(".lumosx-chip");
    const other = chip && referencesOf(this.scene).find((each) => each.id === chip.dataset.key);
    if (other && isMovable(other) && canSwap(reference, other) && !sameOwner(reference, other)) {
      return { element: chip, drop: () => this.exchange(reference, other) };
    }
    const row = element.closest(".lumosx-row");
    const person = row && this.scene.people.find((each) => each.id === row.dataset.key);
    const place = person && placeAt(reference, person);
    return place ? { element: row, drop: () => this.exchange(reference, place) } : null;
  }

  remove() {
    clearTimeout(this.timer);
    this.question?.abort();
    this.closeMenu?.();
  }
}

function imagesOf(scene) {
  return new Map(referencesOf(scene).map(({ id, image }) => [id, image]));
}

/** Two attributes of one node only change their order: no drop target, but in the menu. */
function sameOwner(one, other) {
  return one.node === other.node;
}

function nameOf(person) {
  return person.references[0]?.phrase || person.title;
}

/** A scene without nodes, to compare it. */
function plain(scene) {
  const bare = (reference) => ({ ...reference, node: reference.node?.id, phraseNode: reference.phraseNode?.id });
  return {
    people: scene.people.map(({ node, face, references, ...person }) => (
      { ...person, face: face && bare(face), references: references.map(bare) }
    )),
    objects: scene.objects.map(bare),
    background: scene.background && bare(scene.background),
    twoBackgrounds: scene.twoBackgrounds,
    unseen: scene.unseen.map(({ title }) => title),
    prompt: { ...scene.prompt, encoders: scene.prompt.encoders.map(titleOf), chosen: scene.prompt.chosen?.id },
  };
}

/** The board of one Binder: reads the graph a few times a second, asks the server, draws, and writes widget values. */

import { asOneStep, setValue, setWidget } from "../graph/values.js";
import { outputKey } from "../graph/walk.js";
import { addView } from "../view.js";
import { say } from "../words.js";
import { influenceEntries } from "./influence.js";
import { Making } from "./making.js";
import { Moves } from "./moves.js";
import { People } from "./people.js";
import { problemsOf } from "./problems.js";
import { afterEdit } from "./prompt.js";
import { freePlace } from "./rebind.js";
import { phrasesOf, readScene, referencesOf, titleOf } from "./scene.js";
import { ask, checkedBy, foundBy, questionOf } from "./verdict.js";
import { drawBoard, makeBoard } from "./view.js";

const DEBOUNCE_MILLISECONDS = 120;
const RETRY_MILLISECONDS = 5000;
const CASE_MILLISECONDS = 10_000;
const LEAST_HEIGHT = 210;
const FIRST_SIZE = [520, 830];
const TOO_LONG = ["too_long", "perhaps_too_long"];

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
    this.known = null;
    this.moves = new Moves(this);
    this.making = new Making(this);
    this.people = new People(this);
    this.view = makeBoard({
      set: (reference, values, done) => this.set(reference, values, done),
      done: () => this.endTyping(),
      press: (reference, anchor) => this.press(reference, anchor),
      grab: (reference, event) => this.moves.grab(reference, event),
      give: (reference, files) => this.making.give(reference, files),
      offer: (taker) => this.offer(taker),
      add: (kind, files) => this.making.add(kind, files),
      nameByWords: (words, files, anchor) => this.nameByWords(words, files, anchor),
      addThingOf: (person, files) => this.making.addThingOf(person, files),
      type: (text) => this.type(text),
      promptText: () => this.scene.prompt.text ?? "",
      phrases: () => phrasesOf(this.scene),
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
    const notes = this.notes();
    const seen = JSON.stringify([plain(this.scene), this.answer, this.failed, this.refusal, marks, this.fresh, notes]);
    if (seen === this.seen) return;
    this.seen = seen;
    drawBoard(this.view, { ...this.state(checked), notes });
  }

  notes() {
    return [...this.making.notes(), ...this.people.notes(), ...this.moves.notes()];
  }

  /** Where the words of each reference are in the prompt, if known; while typing, from the earlier text. */
  ranges(checked = checkedBy(this.scene, this.host)) {
    if (checked) return checked.ranges;
    const { answer, known, scene } = this;
    const { text } = scene.prompt;
    if (this.fresh && answer) return new Map(answer.references.map((each) => [each.id, each.ranges]));
    if (this.failed || !known || text === null) return new Map();
    const same = referencesOf(scene).filter(({ id, phrase, occurrence }) => known.words.get(id) === wordsOf({ phrase, occurrence }));
    return new Map(same.map(({ id }) => [id, afterEdit(known.ranges.get(id) ?? [], known.text, text)]));
  }

  /** Which pictures the encoder received: its findings about one do not apply to another picture. */
  notePictures(checked) {
    if (!checked || this.encoded?.result === checked.result) return;
    this.encoded = { result: checked.result, images: imagesOf(this.scene) };
  }

  state(checked) {
    const answer = this.fresh || this.answer ? this.answer : null;
    const images = imagesOf(this.scene);
    const isSame = (id) => images.get(id) === this.encoded?.images.get(id);
    const { encoders, chosen, unlimited } = this.scene.prompt;
    const found = foundBy(answer, checked, isSame).filter(({ code }) => !unlimited || !TOO_LONG.includes(code));
    return {
      scene: this.scene,
      problems: problemsOf(this.scene, found),
      ranges: this.ranges(checked),
      counts: new Map((answer?.references ?? []).map((each) => [each.id, each.count])),
      checked: checked !== null,
      asked: this.fresh && answer !== null,
      failed: this.failed,
      refusal: this.refusal,
      encoders: encoders.map((encoder) => ({ key: outputKey(encoder), title: `${titleOf(encoder)} #${encoder.id}` })),
      encoderKey: chosen && outputKey(chosen),
      canTake: (reference) => this.making.canTake(reference),
      canWearMore: (person) => freePlace(person.node) !== null,
      hasRoom: (kind) => this.making.hasRoom(kind),
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
      if (answer) this.known = knownFrom(question, answer);
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
      const answer = await this.host.api.fetchApi(`/lumosx/${query}`);
      return answer.ok ? await answer.json() : null;
    } catch {
      // The row then shows only where it comes from.
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

  /** Write the prompt that is typed on the board to the widget that holds it. */
  type(text) {
    const { holder } = this.scene.prompt;
    if (!holder) return;
    this.typed = true;
    setWidget(holder, text);
    this.tick();
  }

  /** Make the typing an undo step of its own. */
  endTyping() {
    // Fields report a change again while undo removes them from the page, and hosts would record that as a new step.
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

  /** A press on a thumbnail: an empty one asks for a picture. */
  press(reference, anchor) {
    const { moves, making } = this;
    if (!reference.shown && !reference.paused && making.canTake(reference)) return void making.choose(reference);
    const entries = this.entriesOf(reference, anchor);
    const take = anchor.closest(".lumosx-chip, .lumosx-face")?.take ?? null;
    if (entries.length) moves.openMenu(anchor, say("menu_of", { words: reference.phrase }), entries, take);
  }

  /** The menu of what takes pictures: a reference, or a button that adds some. */
  offer(taker) {
    const { reference, picture, take } = taker;
    const label = reference ? say("menu_of", { words: reference.phrase }) : taker.getAttribute("aria-label") ?? taker.textContent;
    const entries = reference ? this.entriesOf(reference, picture ?? taker) : this.making.entriesFor(take, true);
    this.moves.openMenu(picture ?? taker, label, entries, take);
  }

  /** Ask what a picture shows that was dropped on words of the prompt. */
  nameByWords(words, files, anchor) {
    const entries = this.making.entriesForWords(words, this.scene.people, files);
    this.moves.openMenu(anchor, say("menu_of", { words }), entries);
  }

  entriesOf(reference, anchor) {
    const entries = this.moves.entriesOf(reference);
    if (this.making.canTake(reference)) entries.push(...this.making.entriesFor((files) => this.making.give(reference, files), false));
    entries.push(...influenceEntries(reference, anchor, this.host));
    if (reference.occurrence) entries.push({ text: say("any_occurrence"), run: () => this.set(reference, { occurrence: 0 }, true) });
    entries.push(...this.people.entriesOf(reference, anchor));
    if (reference.node) entries.push({ text: say("show_node"), run: () => this.show(reference.node) });
    return entries;
  }

  /** Take the focus to the picture or the field of a place. @param {"picture" | "field"} part */
  focusOn({ node, slot }, part) {
    const chips = [...this.view.element.querySelectorAll(".lumosx-chip, .lumosx-face")];
    const found = chips.find(({ reference }) => reference.node === node && reference.slot.image === slot.image);
    found?.[part].focus({ preventScroll: part === "picture" });
  }

  remove() {
    clearTimeout(this.timer);
    this.question?.abort();
    this.moves.closeMenu?.();
  }
}

function imagesOf(scene) {
  return new Map(referencesOf(scene).map(({ id, image }) => [id, image]));
}

/** Where the words of the checked references are. */
function knownFrom(question, answer) {
  const words = new Map(question.references.map((each) => [each.id, wordsOf(each)]));
  return { text: question.prompt ?? "", words, ranges: new Map(answer.references.map((each) => [each.id, each.ranges])) };
}

function wordsOf({ phrase, occurrence }) {
  return JSON.stringify([phrase, occurrence]);
}

/** A scene without nodes, to compare it. */
function plain(scene) {
  const { encoders, chosen, holder } = scene.prompt;
  const bare = (reference) => ({ ...reference, node: reference.node?.id, phraseNode: reference.phraseNode?.id });
  return {
    people: scene.people.map(({ node, face, references, ...person }) => (
      { ...person, face: face && bare(face), references: references.map(bare) }
    )),
    objects: scene.objects.map(bare),
    background: scene.background && bare(scene.background),
    twoBackgrounds: scene.twoBackgrounds,
    unseen: scene.unseen.map(({ title }) => title),
    prompt: { ...scene.prompt, encoders: encoders.map(titleOf), chosen: chosen?.id, holder: holder?.node.id },
  };
}

/** People that are kept: one of them in place of a person of the scene, and a person of the scene to be kept. */

import { link, makeNode } from "../graph/build.js";
import { setValue, widgetOf } from "../graph/values.js";
import { originOf, targetsOf } from "../graph/walk.js";
import { say } from "../words.js";
import { personPicture } from "./cases.js";
import { openMenu } from "./menu.js";
import { rootOf } from "./scene.js";

const LOAD = "LumosX_LoadPerson";
const SAVE = "LumosX_SavePerson";
const SLOTS = [1, 2, 3].map((number) => `subject_${number}`);
const LONGEST_NAME = 60;
const BELOW = 60;

export class People {
  /** @param {object} board */
  constructor(board) {
    this.board = board;
    this.note = null;
  }

  get root() {
    return rootOf(this.board.host.app);
  }

  /** What can be done with the person whose face, or first picture, a reference is. */
  entriesOf(reference, anchor) {
    const person = this.personOf(reference);
    if (!person) return [];
    const entries = [];
    if (this.inputOf(person)) entries.push({ text: say("replace_person"), run: () => this.choose(person, anchor) });
    if (person.node.comfyClass !== LOAD) return [...entries, { text: say("keep_person"), run: () => this.keep(person) }];
    return [...entries, { text: say("show_node"), run: () => this.board.show(person.node) }];
  }

  personOf(reference) {
    const own = ({ face, references }) => [face, references[0]].some((each) => each?.id === reference.id);
    const person = this.board.scene.people.find(own);
    return ["LumosX_Subject", LOAD].includes(person?.node?.comfyClass) ? person : null;
  }

  /** The input of this Binder that a person comes in by; null if the person comes in by another one. */
  inputOf({ node }) {
    return SLOTS.find((name) => originOf(this.board.node, name, this.root)?.node === node) ?? null;
  }

  async choose(person, anchor) {
    const names = await this.names();
    // Meanwhile the node may be gone, or the person.
    if (!this.board.node.graph || !person.node.graph) return;
    if (!names?.length) return this.say(names ? "nobody_kept" : "not_listed");
    const { api } = this.board.host;
    const entries = names.map((name) => (
      { text: name, image: personPicture(api, name), run: () => this.replace(person, name) }
    ));
    this.board.moves.closeMenu?.();
    this.board.moves.closeMenu = openMenu(anchor, say("replace_person"), entries);
  }

  async names() {
    try {
      const answer = await this.board.host.api.fetchApi("/lumosx/people");
      return answer.ok ? (await answer.json()).people : null;
    } catch {
      return null;
    }
  }

  /** The words of the prompt stay: they now stand for the other person. */
  replace(person, name) {
    const { board } = this;
    const input = this.inputOf(person);
    if (!input) return;
    const face = person.references.find(({ kind }) => kind === "face");
    board.step(() => {
      const node = person.node.comfyClass === LOAD ? person.node : this.loaderFor(person, input);
      const { options } = widgetOf(node, "person");
      if (Array.isArray(options?.values) && !options.values.includes(name)) options.values.push(name);
      const words = face ? { phrase: face.phrase, occurrence: face.occurrence } : {};
      for (const [widget, value] of Object.entries({ person: name, ...words, attribute_phrases: "" })) setValue(node, widget, value);
    });
    this.note = null;
    board.tick();
  }

  loaderFor({ node: { graph, pos, size } }, input) {
    const binder = this.board.node;
    const [x, y] = graph === binder.graph ? [pos[0], pos[1] + size[1] + BELOW] : binder.pos;
    const node = makeNode(binder.graph, LOAD, { x, y });
    link(node, binder, input);
    return node;
  }

  /** Put a LumosX Save Person behind a person, which keeps it with the next run. */
  keep({ node, references }) {
    const { board } = this;
    const known = targetsOf(node, 0, this.root).find(({ node: target }) => target.comfyClass === SAVE);
    const saver = known?.node ?? board.step(() => {
      const made = makeNode(node.graph, SAVE, { x: node.pos[0], y: node.pos[1] + node.size[1] + BELOW });
      link(node, made, "subject");
      setValue(made, "name", nameFrom(references[0]?.phrase ?? ""));
      return made;
    });
    this.note = {
      text: say("kept_with_run", { name: String(widgetOf(saver, "name")?.value ?? "") }),
      buttons: [{ text: say("show_node"), run: () => this.board.show(saver) }],
    };
    board.tick();
  }

  say(key) {
    this.note = { level: "warning", text: say(key) };
    this.board.tick();
  }

  /** @returns {import("./view.js").Note[]} */
  notes() {
    return this.note ? [this.note] : [];
  }
}

/** Words as a folder can be called. */
function nameFrom(words) {
  const plain = words.replace(/[<>:"/\\|?*.\p{Cc}]/gu, " ").replace(/\s+/g, " ").trim();
  return plain.slice(0, LONGEST_NAME).trim() || "person";
}

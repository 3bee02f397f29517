/** What a user adds from the board: people, things, a background and pictures, each in one step of undo. */

import { setValue } from "../graph/values.js";
import { say } from "../words.js";
import { KINDS, addTo, canTakePicture, givePicture, roomFor } from "./building.js";
import { freePlace } from "./rebind.js";
import { rootOf } from "./scene.js";
import { canReadClipboard, chooseFiles, picturesOnClipboard, upload } from "./upload.js";

export class Making {
  /** @param {object} board */
  constructor(board) {
    this.board = board;
    this.note = null;
  }

  get root() {
    return rootOf(this.board.host.app);
  }

  canTake(reference) {
    return canTakePicture(reference, this.root);
  }

  hasRoom(kind) {
    return roomFor(kind, this.board.node, this.root) > 0;
  }

  /** Ask for a picture and give it to a reference. */
  async choose(reference) {
    await this.give(reference, await chooseFiles(false));
  }

  /** The ways to get pictures for something that takes them. @param {(files: File[]) => void} take */
  entriesFor(take, several) {
    const choose = { text: say("choose_picture"), run: async () => take(await chooseFiles(several)) };
    const paste = { text: say("paste_picture"), run: () => this.paste(take) };
    return canReadClipboard() ? [choose, paste] : [choose];
  }

  async paste(take) {
    const files = await picturesOnClipboard().catch(() => null);
    if (files?.length) return take(files);
    this.say({ level: "warning", text: say(files ? "clipboard_empty" : "clipboard_closed") });
  }

  async give(reference, files) {
    await this.fill(files.slice(0, 1), () => (reference.node.graph ? reference : null));
  }

  /** Add a person, a thing or a background for each picture, or one without. */
  async add(kind, files) {
    const next = () => addTo(this.board.node, kind, this.root);
    if (files) return this.fill(files, next);
    this.note = null;
    const place = this.board.step(next);
    this.board.tick();
    if (place) this.board.focusOn(place, "field");
  }

  /** Add what a person wears or holds. */
  async addThingOf(person, files) {
    await this.fill(files ?? (await chooseFiles(true)), () => (person.node.graph ? freePlace(person.node) : null));
  }

  /** What a picture for words of the prompt can show. @param {File[]} files of which the first counts */
  entriesForWords(words, people, files) {
    const named = (next) => () => this.fill(files.slice(0, 1), () => this.named(next(), words));
    const owners = people.map((person, index) => ({ person, index }))
      .filter(({ person }) => person.node && !person.readOnly && freePlace(person.node));
    return [
      ...owners.map(({ person, index }) => ({
        text: say("words_of_person", { words, number: index + 1, person: person.references[0]?.phrase || person.title }),
        run: named(() => (person.node.graph ? freePlace(person.node) : null)),
      })),
      ...KINDS.filter((kind) => this.hasRoom(kind)).map((kind) => ({
        text: say(`words_are_${kind}`, { words }), run: named(() => addTo(this.board.node, kind, this.root)),
      })),
    ];
  }

  named(place, words) {
    if (place) setValue(place.node, place.slot.phrase, words);
    return place;
  }

  /**
   * Upload pictures and give each to a place.
   * @param {File[]} files
   * @param {() => import("./rebind.js").Place | null} next the place for the next picture, or null when there is none
   */
  async fill(files, next) {
    if (!files.length) return;
    const focused = document.activeElement;
    this.say({ text: say("uploading") });
    const names = await this.upload(files);
    if (!this.board.node.graph || !names) return;
    const places = this.board.step(() => names.flatMap((name) => this.place(next(), name)));
    const count = names.length - places.length;
    this.say(count ? { level: "warning", text: say("too_many_pictures", { count }) } : null);
    // An upload may take long: whoever types somewhere else by now goes on there.
    const moved = ![focused, document.body].includes(document.activeElement);
    if (places.length && !moved) this.board.focusOn(places[0], "field");
  }

  place(place, name) {
    if (!place) return [];
    givePicture(place, name, this.root);
    return [place];
  }

  /** The names of uploaded files; null, and a note, when one of them cannot be. */
  async upload(files) {
    try {
      const names = [];
      for (const file of files) names.push(await upload(this.board.host.api, file));
      return names;
    } catch (error) {
      this.say({ level: "error", text: error.message });
      return null;
    }
  }

  say(note) {
    this.note = note;
    this.board.tick();
  }

  /** @returns {import("./view.js").Note[]} */
  notes() {
    return this.note ? [this.note] : [];
  }
}

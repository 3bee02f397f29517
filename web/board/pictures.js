/** Thumbnails of linked pictures: the file of a Load Image, or a node's output or preview from its last run. */

import { originOf, outputKey, valueOf } from "../graph/walk.js";

const FARTHEST = 8;

/**
 * The address of a picture that shows an output, or null.
 * @param {import("../graph/walk.js").Origin} origin
 */
export function pictureAt(origin, host, root) {
  for (let at = origin, step = 0; at && step < FARTHEST; step++) {
    const found = fileOf(at, host, root) ?? shownBy(at, host);
    if (found) return found;
    // A node that takes a photo apart outputs no picture of the whole photo.
    if (takesApart(at.node)) return null;
    at = before(at, root);
  }
  return null;
}

function takesApart(node) {
  return (node.outputs ?? []).filter(({ type }) => type === "IMAGE").length > 1;
}

function before(at, root) {
  const index = (at.node.inputs ?? []).findIndex((input) => input.type === "IMAGE");
  return index < 0 ? null : originOf(at, index, root);
}

/** The file of an output's picture, as Load Image names it; null if a node changes it. */
export function fileNameOf(origin, root) {
  if (!/^LoadImage(Output)?$/.test(origin.node.comfyClass ?? "") || origin.slot !== 0) return null;
  const { value, known } = valueOf(origin, "image", root);
  return known && typeof value === "string" && value ? value : null;
}

/** A file as the server's viewer expects it, from Load Image's name for it. */
export function fileOfView(view) {
  if (!view?.filename) return null;
  const path = view.subfolder ? `${view.subfolder}/${view.filename}` : view.filename;
  return `${path} [${view.type ?? "input"}]`;
}

function fileOf(at, host, root) {
  if (!/^LoadImage(Mask|Output)?$/.test(at.node.comfyClass ?? "")) return null;
  const { value } = valueOf(at, "image", root);
  return typeof value === "string" && value ? viewOf(host.api, partsOf(value)) : null;
}

/**
 * A file as its widget names it, e.g. "folder/a.png [output]".
 * @param {string} name
 * @returns {{filename: string, subfolder: string, type: string}}
 */
export function partsOf(name) {
  const [, path, type] = /^(.*?)(?:\s*\[(input|output|temp)\])?$/s.exec(name);
  const cut = path.lastIndexOf("/");
  return { filename: path.slice(cut + 1), subfolder: path.slice(0, Math.max(cut, 0)), type: type ?? "input" };
}

function shownBy({ node, slot }, { app, api }) {
  const shown = app.nodeOutputs?.[outputKey(node)];
  // One for each of the first outputs, where a node says so; what it shows itself is something else.
  const own = shown?.lumosx_pictures?.[0].of_outputs;
  const image = own && slot < own.length ? own[slot] : (shown?.images?.[slot] ?? shown?.images?.[0]);
  return image?.filename ? viewOf(api, image) : null;
}

/** The address at which the server shows a file. */
export function viewOf(api, { filename, subfolder = "", type = "input" }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`);
}

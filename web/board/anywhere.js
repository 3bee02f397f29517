/** Ctrl+Space in any text that is the prompt of a scene: the words of its references are offered. */

import { originOf } from "../graph/walk.js";
import { asksForOffers, offer } from "./complete.js";
import { phrasesFor } from "./offers.js";
import { phrasesOf, readScene, rootOf } from "./scene.js";

const BINDER = "LumosX_Binder";

/** Listen to all text fields of the page; the boards' own fields are theirs. @param {{app: object, api: object}} host */
export function offerPhrasesAnywhere(host) {
  window.addEventListener("keydown", (event) => {
    const field = event.target;
    if (!asksForOffers(event) || field?.tagName !== "TEXTAREA" || field.readOnly || field.closest(".lumosx-board")) return;
    const phrases = phrasesAround(field, host);
    if (!phrases.length) return;
    event.preventDefault();
    event.stopPropagation();
    offer(field, phrasesFor(field.value, field.selectionStart, phrases));
  }, { capture: true });
}

/** The words of the scene whose prompt is typed in a field; none for any other field. */
function phrasesAround(field, host) {
  const holder = holderOf(field, host.app);
  if (!holder) return [];
  const binders = (holder.node.graph?.nodes ?? []).filter((node) => node.comfyClass === BINDER);
  const own = originOf(holder.node, "relations", rootOf(host.app))?.node;
  for (const binder of binders) {
    const scene = readScene(binder, host, new Map(), null);
    const isHeld = scene.prompt.holder?.node === holder.node && scene.prompt.holder.widget === holder.widget;
    if (isHeld || (binder === own && holder.widget.name === "prompt")) return phrasesOf(scene);
  }
  return [];
}

/** The widget that a field belongs to, in either kind of nodes. */
function holderOf(field, app) {
  const graph = app.canvas?.graph ?? app.graph;
  const shown = graph?.getNodeById(field.closest("[data-node-id]")?.dataset.nodeId ?? -1);
  for (const node of shown ? [shown] : graph?.nodes ?? []) {
    const widget = (node.widgets ?? []).find((each) => (
      shown ? each.value === field.value && typeof each.value === "string" : [each.element, each.inputEl].includes(field)
    ));
    if (widget) return { node, widget };
  }
  return null;
}

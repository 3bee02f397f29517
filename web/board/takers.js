/** Elements that take picture files, dropped on them or pasted while they have the focus. */

import { mayHavePictures, picturesOf } from "./upload.js";

/**
 * Every part of an element that accepts pictures has `take`, a function that takes files, or null while it cannot.
 * @param {HTMLElement} root
 */
export function takeFiles(root) {
  let target = null;
  const mark = (next) => {
    if (next === target) return;
    target?.classList.remove("lumosx-target");
    next?.classList.add("lumosx-target");
    target = next;
  };
  root.addEventListener("dragover", (event) => {
    const taker = mayHavePictures(event.dataTransfer) ? takerAt(event.target, root) : null;
    mark(taker);
    if (!taker) return;
    keep(event);
    event.dataTransfer.dropEffect = "copy";
  });
  root.addEventListener("dragleave", (event) => root.contains(event.relatedTarget) || mark(null));
  root.addEventListener("drop", (event) => {
    const taker = target;
    mark(null);
    giveTo(taker, event, event.dataTransfer);
  });
  root.addEventListener("paste", (event) => {
    // What is copied in an office program is a picture as well as text.
    if (!event.target.matches("input, textarea")) giveTo(takerAt(event.target, root), event, event.clipboardData);
  });
}

/** Everything else is left to the host, which opens workflows and makes nodes of what is dropped. */
function giveTo(taker, event, transfer) {
  const files = picturesOf(transfer);
  if (!taker || !files.length) return;
  keep(event);
  taker.take(files);
}

function takerAt(element, root) {
  for (let at = element; at && at !== root; at = at.parentElement) if (at.take) return at;
  return null;
}

function keep(event) {
  event.preventDefault();
  event.stopPropagation();
}

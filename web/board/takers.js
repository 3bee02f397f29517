/** Elements that take picture files: dropped on them, or pasted while they have the focus or the pointer is on them. */

import { mayHavePictures, picturesOf } from "./upload.js";

/**
 * Every part of an element that accepts pictures has `take`, a function that takes files, or null while it cannot.
 * @param {HTMLElement} root
 * @param {(taker: HTMLElement) => void} offer opens the menu of a part, which can paste too
 */
export function takeFiles(root, offer) {
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
    if (!isForText(event)) giveTo(takerAt(event.target, root), event, event.clipboardData);
  });
  root.addEventListener("contextmenu", (event) => {
    const taker = event.target.matches(TYPED) ? null : takerAt(event.target, root);
    if (!taker) return;
    keep(event);
    offer(taker);
  });
  pasteUnderPointer(root);
}

const TYPED = "input, textarea, select, [contenteditable]";

/** Whether something pasted belongs into a text field: what is copied in an office program is a picture as well as text. */
function isForText({ target, clipboardData }) {
  return target.matches?.(TYPED) && (clipboardData?.types ?? []).some((type) => type.startsWith("text/"));
}

/** Whatever has the focus: an empty thumbnail or a button that is pressed to get it would ask for files. */
function pasteUnderPointer(root) {
  const stop = () => window.removeEventListener("paste", paste, true);
  const paste = (event) => {
    // An element that is removed below the pointer is not told that the pointer has left.
    if (!root.isConnected) return stop();
    const below = [...root.querySelectorAll(":hover")].at(-1);
    if (below && !isForText(event)) giveTo(takerAt(below, root), event, event.clipboardData);
  };
  root.addEventListener("pointerenter", () => window.addEventListener("paste", paste, true));
  root.addEventListener("pointerleave", stop);
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

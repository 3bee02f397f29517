/** A small menu beside an element: arrows, Home, End and Escape, and the focus comes back. */

import { button, make } from "../dom.js";
import { picturesOf } from "./upload.js";

/**
 * Open a menu.
 * @param {HTMLElement} anchor
 * @param {string} label
 * @param {{text: string, image?: string, run: () => void}[]} entries
 * @param {((files: File[]) => void) | null} take what to do with pictures that are pasted meanwhile
 */
export function openMenu(anchor, label, entries, take = null) {
  const over = new AbortController();
  const menu = make("div", "lumosx-menu", { role: "menu", "aria-label": label });
  const close = (back) => {
    if (over.signal.aborted) return;
    over.abort();
    menu.remove();
    setAnchor(anchor, false);
    if (back) anchor.focus();
  };
  const choose = (entry) => () => {
    close(true);
    entry.run();
  };
  menu.append(...entries.map((entry) => makeEntry(entry, choose(entry))));
  menu.addEventListener("paste", (event) => {
    const files = picturesOf(event.clipboardData);
    if (!take || !files.length) return;
    event.preventDefault();
    event.stopPropagation();
    close(true);
    take(files);
  }, { signal: over.signal });
  menu.addEventListener("keydown", (event) => onKey(event, menu, close), { signal: over.signal });
  menu.addEventListener("focusout", (event) => menu.contains(event.relatedTarget) || close(false), { signal: over.signal });
  for (const name of ["pointerdown", "contextmenu", "wheel"]) menu.addEventListener(name, (event) => event.stopPropagation());
  document.body.append(menu);
  place(menu, anchor);
  setAnchor(anchor, true);
  menu.firstElementChild.focus();
  return () => close(false);
}

function makeEntry({ text, image }, run) {
  const element = button("", text, run, { role: "menuitem", tabindex: "-1" });
  if (!image) return element;
  const picture = make("img", "", { src: image, alt: "", loading: "lazy", draggable: "false" });
  picture.addEventListener("error", () => picture.classList.add("lumosx-missing"));
  element.prepend(picture);
  return element;
}

function setAnchor(anchor, open) {
  anchor.setAttribute("aria-expanded", String(open));
}

function place(menu, anchor) {
  const { left, bottom, top } = anchor.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const below = bottom + height + 8 < window.innerHeight;
  menu.style.left = `${Math.max(4, Math.min(left, window.innerWidth - width - 8))}px`;
  menu.style.top = `${Math.max(4, below ? bottom + 4 : top - height - 4)}px`;
}

function onKey(event, menu, close) {
  event.stopPropagation();
  if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    close(true);
    return;
  }
  const entries = [...menu.children];
  const now = entries.indexOf(document.activeElement);
  const next = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: entries.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  entries[(next + entries.length) % entries.length].focus();
}

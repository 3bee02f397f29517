/** A picture enlarged while a pointer rests on it, or the keyboard's focus. */

import { make } from "../dom.js";

const REST_MILLISECONDS = 350;
const LOOK_MILLISECONDS = 250;
const SIDE = 280;
const GAP = 8;

/** Enlarge the picture of a thumbnail. @param {HTMLElement & {image: HTMLImageElement}} thumb */
export function enlarge(thumb) {
  let waiting = 0;
  let over = null;
  const end = () => {
    clearTimeout(waiting);
    over?.abort();
    over = null;
  };
  const begin = () => {
    end();
    waiting = setTimeout(() => (over = show(thumb)), REST_MILLISECONDS);
  };
  thumb.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && !event.buttons && begin());
  thumb.addEventListener("focus", () => thumb.matches(":focus-visible") && begin());
  for (const name of ["pointerleave", "pointerdown", "blur", "wheel", "keydown"]) thumb.addEventListener(name, end, { passive: true });
}

function show(thumb) {
  const { image } = thumb;
  const shown = thumb.isConnected && !image.hidden && image.naturalWidth > 0;
  if (!shown || thumb.getAttribute("aria-expanded") === "true") return null;
  const over = new AbortController();
  const large = make("img", "lumosx-zoom", { src: image.src, alt: "" });
  document.body.append(large);
  place(large, thumb.getBoundingClientRect());
  // There is no event when a thumbnail is removed from the page.
  const timer = setInterval(() => thumb.isConnected || over.abort(), LOOK_MILLISECONDS);
  over.signal.addEventListener("abort", () => {
    clearInterval(timer);
    large.remove();
  });
  return over;
}

function place(large, { left, right, top }) {
  const beside = right + GAP + SIDE < window.innerWidth ? right + GAP : left - GAP - SIDE;
  large.style.left = `${Math.max(GAP, beside)}px`;
  large.style.top = `${Math.max(GAP, Math.min(top, window.innerHeight - SIDE - GAP))}px`;
}

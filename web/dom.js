/** Elements, made and kept without ever reading text as HTML. */

/**
 * An element with a class, attributes and children; text children stay text.
 * @param {string} tag
 * @param {string} [className]
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 */
export function make(tag, className = "", attributes = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A button that does something; it never submits or steals the canvas's clicks. */
export function button(className, text, onClick, attributes = {}) {
  const element = make("button", className, { type: "button", ...attributes }, text);
  element.addEventListener("click", onClick);
  return element;
}

/**
 * Let a text field undo its own typing only while it has the focus: some browsers do so wherever the focus is, at the
 * same time as the host undoes its last step.
 */
export function undoOnlyInFocus(field) {
  field.addEventListener("beforeinput", (event) => {
    if (event.inputType.startsWith("history") && document.activeElement !== field) event.preventDefault();
  });
}

/**
 * Update the children of an element to match items, keeping the elements of items that stay (and so focus and
 * caret). An element carries its key in its dataset.
 * @template T
 * @param {HTMLElement} parent
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => HTMLElement} create
 * @param {(element: HTMLElement, item: T) => void} update
 */
export function keyed(parent, items, keyOf, create, update) {
  const kept = new Set(items.map(keyOf));
  // First, so that the elements after them are already in place.
  for (const child of [...parent.children]) if (!kept.has(child.dataset.key)) child.remove();
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const element = old.get(key) ?? create(item);
    old.delete(key);
    element.dataset.key = key;
    update(element, item);
    // Moving an element takes the focus from it, so only those in a wrong place move.
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
}

/** Set text without touching a node that already has it. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set or remove an attribute. @param {string | null} value */
export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Rebuild the children of an element only when what they show has changed. */
export function rebuild(element, state, build) {
  const key = JSON.stringify(state);
  if (element.dataset.shows === key) return;
  element.dataset.shows = key;
  element.replaceChildren(...build());
}

/** Widths at which a new node shows what its widgets are called and what they can hold. */

// Margins, arrows, and the gap between a name and its value in either kind of nodes; some Vue nodes shrink by a little.
const AROUND = 150;
const AROUND_TITLE = 150;
// What the page writes behind the title of an experimental node.
const BADGE = 70;
// Names of files can be of any length.
const WIDEST = 460;
const FONT = "12px Inter, Arial, sans-serif";
const TITLE_FONT = "bold 14px Inter, Arial, sans-serif";
// Of the page itself.
const LEAST_NAMES = 80;
const SOME_WORDS = "woman with red hair";
const LARGE = 10 ** 9;

/** Make a node that has just been created wide enough; what a workflow or a user gives it later stays. */
export function widen(node) {
  const badge = node.constructor.nodeData?.experimental ? BADGE : 0;
  const title = widest([node.title ?? ""], TITLE_FONT) + AROUND_TITLE + badge;
  const shown = (node.widgets ?? []).filter(({ type, hidden }) => !hidden && TEXTS[type]);
  // Vue nodes put all names into one column, and all values into another.
  const names = widest(shown.map((widget) => widget.label ?? widget.name));
  const values = widest(shown.flatMap((widget) => TEXTS[widget.type](widget)));
  const needed = Math.ceil(Math.min(WIDEST, Math.max(title, shown.length ? names + values + AROUND : 0)));
  if (node.size[0] < needed) node.setSize([needed, node.size[1]]);
}

/** What the column of names needs that Vue nodes of some pages have, in pixels. */
export function widestName(node) {
  const named = (node.widgets ?? []).filter(({ type }) => TEXTS[type]);
  return Math.max(LEAST_NAMES, Math.ceil(widest(named.map((widget) => widget.label ?? widget.name))) + 2);
}

function widest(texts, font = FONT) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = font;
  return Math.max(0, ...texts.map((text) => pen.measureText(text).width));
}

/** What a widget of a type can show. @type {Record<string, (widget: object) => string[]>} */
const TEXTS = {
  combo: (widget) => [widget.value, ...choicesOf(widget)].map(String),
  number: ({ value, options }) => [String(value), ...(Number(options?.max) > LARGE ? [String(Number.MAX_SAFE_INTEGER)] : [])],
  text: ({ value }) => [String(value ?? ""), SOME_WORDS],
  string: ({ value }) => [String(value ?? ""), SOME_WORDS],
  toggle: () => [],
};

function choicesOf({ options }) {
  return Array.isArray(options?.values) ? options.values : [];
}

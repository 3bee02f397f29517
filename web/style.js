/** The one stylesheet of this pack. */

/** Link the stylesheet into a document, once. @param {Document} page */
export function addStyle(page) {
  const address = new URL("./lumosx.css", import.meta.url).href;
  if ([...page.querySelectorAll("link[rel=stylesheet]")].some((link) => link.href === address)) return;
  const link = page.createElement("link");
  link.rel = "stylesheet";
  link.href = address;
  page.head.append(link);
}

/** Making elements: text always goes in as text, never as markup. */

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(2)) {
    if (child !== null && child !== undefined) node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

/** An HTML element with attributes, `on<event>` listeners and children (strings become text). */
export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** The same for SVG. */
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export const byId = (id) => document.getElementById(id);

/** Put new children into `pane`; what had the focus, by its `data-focus`, has it again. */
export function redraw(pane, children) {
  const held = pane.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  pane.replaceChildren(...children.filter(Boolean));
  if (held) pane.querySelector(`[data-focus="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
}

/** Say something to people who cannot see the page change; what is said in one turn is said together. */
let pending = [];
export function announce(text) {
  if (pending.length === 0) {
    setTimeout(() => {
      byId("announcer").textContent = pending.join(" ");
      pending = [];
    }, 150);
  }
  pending.push(text);
}

/** The picture itself, from wherever it can be had: this page's own copy, the API's, or its annotated one. */

import { links } from "./api.js";
import { el } from "./dom.js";
import { findings } from "./format.js";
import { overlay, sizeOf } from "./overlay.js";

/** Sources that did not work, by item: asked for once. */
const broken = new WeakMap();
/** Image elements are kept, so that an update does not load the picture again. */
const made = new WeakMap();

export function picture(item) {
  const source = sources(item).find(([, address]) => !broken.get(item)?.has(address));
  const size = sizeOf(item.job);
  if (!source) return item.id && item.job && size ? missing(item, size) : null;
  const [kind, address] = source;
  const frame = el("div", { class: "frame" }, image(item, address));
  if (size) {
    frame.style.aspectRatio = `${size.width} / ${size.height}`;
    frame.style.setProperty("--ratio", size.width / size.height);
  }
  if (kind !== "annotated" && size && item.job?.result) frame.append(overlay(item.job));
  frame.classList.toggle("working", ["sending", "queued", "running"].includes(item.state));
  return el("figure", { class: "picture" }, frame);
}

function sources(item) {
  const found = [];
  if (item.url) found.push(["own", item.url]);
  if (item.id && item.state !== "gone" && !item.deleted && item.job?.has_image !== false) {
    found.push(["original", links(item.id).image]);
    // For a file that this browser cannot show: the API reads and draws it anew.
    if (item.state === "done" && item.job?.result) found.push(["annotated", links(item.id).annotated]);
  }
  return found;
}

function image(item, address) {
  const before = made.get(item);
  if (before?.dataset.address === address) return before;
  const node = el("img", { src: address, alt: alternative(item), decoding: "async", "data-address": address });
  node.addEventListener("error", () => {
    if (!broken.has(item)) broken.set(item, new Set());
    broken.get(item).add(address);
    node.closest(".picture")?.replaceWith(picture(item) ?? "");
  });
  made.set(item, node);
  return node;
}

const alternative = (item) => `The picture ${item.name}`;

/** Where the picture was: its shape, with what was found still on it. */
function missing(item, size) {
  const frame = el("div", { class: "frame empty" }, el("p", {}, "The picture is no longer kept."));
  frame.style.aspectRatio = `${size.width} / ${size.height}`;
  frame.style.setProperty("--ratio", size.width / size.height);
  if (findings(item.job).length) frame.append(overlay(item.job));
  return el("figure", { class: "picture" }, frame);
}

/** What was found, drawn: over the picture, and as a small plan for the list. */

import { el, svg } from "./dom.js";
import { findings, kindName, percent } from "./format.js";

const kindOf = (finding) => (["analog", "digital", "counter"].includes(finding.kind) ? finding.kind : "other");

/** The upright size of a job's picture, or null while nobody told. */
export function sizeOf(job) {
  const image = job?.result?.image;
  const width = image?.width_px ?? job?.width_px;
  const height = image?.height_px ?? job?.height_px;
  return width > 0 && height > 0 ? { width, height } : null;
}

const rectangle = ([x0, y0, x1, y1]) => ({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 });

/** Boxes in picture coordinates: they scale with the picture, their lines do not. Numbers match the table's. */
export function overlay(job) {
  const { width, height } = sizeOf(job);
  const found = findings(job);
  const words = found.map((f, i) => `${i + 1}: ${kindName(f)}, ${percent(f.score)}`).join("; ");
  const boxes = found.map((finding, index) =>
    svg(
      "g",
      { class: "box", "data-kind": kindOf(finding), "data-index": index },
      svg("rect", { ...rectangle(finding.box), class: "box-halo" }),
      svg("rect", { ...rectangle(finding.box), class: "box-line" }),
    ),
  );
  const drawing = svg(
    "svg",
    { class: "overlay", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": words || "Nothing was found" },
    boxes,
  );
  return el("div", { class: "overlay-layer" }, drawing, found.map((finding, index) => tag(finding, index, width, height)));
}

/** The number at a box's corner; with the kind where there is room for it. */
function tag(finding, index, width, height) {
  const [x0, y0, x1] = finding.box;
  const inside = y0 / height < 0.07;
  const fromRight = x0 + x1 > width;
  const attributes = { class: "tag", "data-kind": kindOf(finding), "data-index": index, "data-inside": inside, "aria-hidden": "true" };
  const words = el("span", { class: "tag-words", "data-roomy": (x1 - x0) / width > 0.3 }, ` ${kindName(finding)} ${percent(finding.score)}`);
  const label = el("span", attributes, String(index + 1), (x1 - x0) / width > 0.14 ? words : null);
  if (fromRight) label.style.right = `${(Math.max(0, width - x1) / width) * 100}%`;
  else label.style.left = `${(Math.max(0, x0) / width) * 100}%`;
  label.style.top = `${(Math.max(0, y0) / height) * 100}%`;
  return label;
}

/** A picture's shape with a mark for each finding: what the list shows instead of loading pictures. */
export function plan(job) {
  const size = sizeOf(job) ?? { width: 4, height: 3 };
  const scale = 44 / Math.max(size.width, size.height);
  const [width, height] = [size.width * scale, size.height * scale];
  const left = (48 - width) / 2;
  const top = (48 - height) / 2;
  const marks = sizeOf(job) ? findings(job).map((finding) => mark(finding, scale, left, top)) : [];
  return svg(
    "svg",
    { class: "plan", viewBox: "0 0 48 48", width: 48, height: 48, "aria-hidden": "true", focusable: "false" },
    svg("rect", { class: "plan-frame", x: left, y: top, width, height, rx: 1.5 }),
    marks,
  );
}

function mark(finding, scale, left, top) {
  const { x, y, width, height } = rectangle(finding.box.map((v) => v * scale));
  const middle = { cx: left + x + width / 2, cy: top + y + height / 2 };
  if (finding.kind === "analog") {
    const radii = { rx: Math.max(1.5, width / 2), ry: Math.max(1.5, height / 2) };
    return svg("ellipse", { class: "plan-mark", "data-kind": "analog", ...middle, ...radii });
  }
  const [w, h] = [Math.max(3, width), Math.max(2, height)];
  return svg("rect", { class: "plan-mark", "data-kind": kindOf(finding), x: middle.cx - w / 2, y: middle.cy - h / 2, width: w, height: h });
}

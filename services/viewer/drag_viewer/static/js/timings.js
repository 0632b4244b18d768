/** Where the time went: one bar in proportion, and the figures. */

import { el } from "./dom.js";
import { milliseconds } from "./format.js";

const STAGES = [
  ["queued", "waiting"],
  ["fetch", "fetch"],
  ["decode", "decode"],
  ["infer", "infer"],
  ["publish", "publish"],
];

export function timings(job) {
  const times = job.timings;
  const stages = STAGES.filter(([name]) => Number.isFinite(times[name]));
  if (stages.length === 0) return null;
  const sum = stages.reduce((total, [name]) => total + times[name], 0);
  const total = Number.isFinite(times.total) ? times.total : sum;
  const bar = el("div", { class: "time-bar", "aria-hidden": "true" }, stages.map(([name]) => segment(name, times[name] / (sum || 1))));
  return el(
    "section",
    { class: "times", "aria-label": "Time taken" },
    bar,
    el(
      "dl",
      {},
      stages.map(([name, word]) => el("div", { "data-stage": name }, el("dt", {}, word), el("dd", {}, milliseconds(times[name])))),
      el("div", { class: "time-total" }, el("dt", {}, "total"), el("dd", {}, milliseconds(total))),
    ),
  );
}

function segment(name, share) {
  const node = el("span", { "data-stage": name });
  node.style.flexGrow = String(Math.max(share, 0.004));
  return node;
}

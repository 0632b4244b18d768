/** Health in words: one line always in view, and a panel that says what is wrong and what to do. */

import { ORIGIN } from "./api.js";
import { announce, byId, el, redraw } from "./dom.js";
import { seconds } from "./format.js";
import { pulse } from "./pulse.js";
import { resume, stalled, stalls, unsent } from "./upload.js";

const button = byId("health-button");
const panel = byId("health-panel");
const strip = byId("notice");

export function showHealth() {
  button.addEventListener("click", () => {
    panel.hidden = !panel.hidden;
    button.setAttribute("aria-expanded", String(!panel.hidden));
    pulse.curious = !panel.hidden;
    if (pulse.curious) pulse.soon();
    draw();
  });
  let word = "";
  pulse.addEventListener("change", () => {
    draw();
    const now = line();
    if (word && now[1] !== word) announce(`${now[1]}.`);
    [, word] = now;
  });
  strip.querySelector("button").addEventListener("click", resume);
  stalls.addEventListener("change", notice);
  setInterval(notice, 1000);
}

/** Level and words for the line. */
function line() {
  if (pulse.ready === null) return ["unknown", "Asking the API"];
  if (pulse.foreign) return ["bad", "Page refused"];
  if (!pulse.answers) return ["bad", navigator.onLine ? "API does not answer" : "No network"];
  return pulse.ready ? ["good", "Ready"] : ["bad", "Not ready"];
}

function draw() {
  const [level, words] = line();
  button.querySelector(".lamp").dataset.level = level;
  byId("health-word").textContent = words;
  if (!panel.hidden) drawPanel();
  notice();
}

/** What stands above everything while work cannot go on; its button stays the same one, so that it can be reached. */
function notice() {
  const told = pulse.ready === null ? null : stall() ?? unwell();
  strip.hidden = told === null;
  if (!told) return;
  const [head, rest, canHurry] = told;
  put(strip.querySelector("strong"), head);
  put(strip.querySelector("span"), rest);
  strip.querySelector("button").hidden = !canHurry;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function stall() {
  if (!stalled || unsent() === 0) return null;
  const { error, until } = stalled;
  const left = seconds((until - Date.now()) / 1000);
  return [`${error.title}. ${error.detail}`.trim(), `Sending goes on by itself in ${left}.`, true];
}

function unwell() {
  if (pulse.ready || (pulse.answers && !panel.hidden)) return null; // the panel says it in full
  const since = seconds((Date.now() - pulse.since) / 1000);
  if (pulse.foreign) {
    return ["The API does not accept this page's address.", `Set DRAG_VIEWER_ORIGIN to ${location.origin} and start it again.`, false];
  }
  if (!pulse.answers) {
    return [`The API does not answer at ${ORIGIN}.`, `For ${since} now. This page keeps trying and goes on by itself.`, false];
  }
  const reasons = problems().map(({ what }) => sentence(what));
  return ["Not ready.", `${reasons.join(" ") || "Pictures posted now would wait."} For ${since} now.`, false];
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replace(/\.?$/, ".");

/** What the API says is wrong, as `{what, fix}`. */
function problems() {
  if (pulse.report) return pulse.report.problems;
  return (pulse.body.problems ?? []).map((what) => ({ what, fix: "" }));
}

function drawPanel() {
  const report = pulse.report;
  const wrong = problems();
  redraw(panel, [
    wrong.length
      ? el("ul", { class: "wrong" }, wrong.map(trouble))
      : el("p", {}, pulse.ready ? "A picture posted now is worked on at once." : `${line()[1]}.`),
    report ? workers(report) : null,
    report ? queues(report) : null,
    el("p", {}, el("a", { href: `${ORIGIN}/v1/diagnostics`, target: "_blank", rel: "noopener", "data-focus": "json" }, "Diagnostics as JSON")),
  ]);
}

const trouble = ({ what, fix }) =>
  el("li", {}, el("strong", {}, sentence(what)), fix ? [" What to do: ", coded(fix.replace(/\.?$/, "."))] : null);

/** Text in which `backticks` mark what to type. */
const coded = (text) => text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));

function workers(report) {
  const all = Object.values(report.services).flat();
  if (all.length === 0) return null;
  return el(
    "div",
    { class: "table-wrap", tabindex: "0", role: "region", "aria-label": "Workers", "data-focus": "workers" },
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, ["Service", "State", "Model", "Process"].map((text) => el("th", { scope: "col" }, text)))),
      el("tbody", {}, all.map(worker)),
    ),
  );
}

const worker = (one) =>
  el(
    "tr",
    {},
    el("td", {}, one.service),
    el("td", { class: "number" }, el("span", { class: "lamp", "data-level": one.state === "ready" ? "good" : one.state === "failed" ? "bad" : "warn", "aria-hidden": "true" }), ` ${one.state}`, one.reason ? el("span", { class: "reason" }, one.reason) : null),
    el("td", {}, one.model ? `${one.model} ${one.model_version ?? ""}` : ""),
    el("td", { class: "mono" }, [one.host, one.pid].filter(Boolean).join(" ")),
  );

function queues(report) {
  if (!report.queues) return null;
  const { open_jobs: open, dead_letters: dead } = report.queues;
  const words = [`${open} unfinished ${open === 1 ? "job" : "jobs"}`, `${dead} dead ${dead === 1 ? "letter" : "letters"}`];
  return el("p", { class: "panel-note" }, `${words.join(", ")}.`);
}

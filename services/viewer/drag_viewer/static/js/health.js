/** Health in words: one line always in view, and a panel that says what is wrong and what to do. */

import { ORIGIN } from "./api.js";
import { announce, byId, el } from "./dom.js";
import { seconds } from "./format.js";
import { pulse } from "./pulse.js";
import { resume, stalled, stalls, unsent } from "./upload.js";

const button = byId("health-button");
const panel = byId("health-panel");

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
  stalls.addEventListener("change", notice);
  setInterval(() => {
    if (!pulse.ready || stalled) draw();
  }, 1000);
}

/** Level and words for the line. */
function line() {
  if (pulse.ready === null) return ["unknown", "Asking the API"];
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

/** What stands above everything while work cannot go on. */
function notice() {
  const node = byId("notice");
  const parts = pulse.ready === null ? null : stall() ?? unwell();
  node.hidden = parts === null;
  const text = parts ? parts.map((part) => (part instanceof Node ? part.textContent : part)).join("") : "";
  if (text === node.dataset.text) return;
  node.dataset.text = text;
  node.replaceChildren(...(parts ?? []));
}

function stall() {
  if (!stalled || unsent() === 0) return null;
  const { error, until } = stalled;
  const left = seconds((until - Date.now()) / 1000);
  const what = `${error.title}. ${error.detail && error.detail !== error.title ? error.detail : ""}`;
  const now = el("button", { type: "button", class: "button", onclick: resume }, "Try now");
  return [el("p", {}, el("strong", {}, what), ` Sending goes on by itself in ${left}.`), now];
}

function unwell() {
  if (pulse.ready) return null;
  const since = seconds((Date.now() - pulse.since) / 1000);
  if (!pulse.answers) {
    const why = `The API does not answer at ${ORIGIN}. `;
    return [el("p", {}, el("strong", {}, why), `Since ${since}. This page keeps trying and goes on by itself.`)];
  }
  const reasons = problems();
  const what = reasons.length ? reasons.map(({ what }) => what).join(" ") : "Pictures posted now would wait.";
  return [el("p", {}, el("strong", {}, "Not ready. "), what, ` Since ${since}.`)];
}

/** What the API says is wrong, as `{what, fix}`. */
function problems() {
  if (pulse.report) return pulse.report.problems;
  return (pulse.body.problems ?? []).map((what) => ({ what, fix: "" }));
}

function drawPanel() {
  const report = pulse.report;
  const wrong = problems();
  panel.replaceChildren(
    ...[
      wrong.length
        ? el("ul", { class: "wrong" }, wrong.map(({ what, fix }) => el("li", {}, el("strong", {}, what), fix ? ` ${fix}` : "")))
        : el("p", { class: "all-well" }, pulse.ready ? "A picture posted now is worked on at once." : line()[1]),
      report ? workers(report) : null,
      report ? queues(report) : null,
      el("p", { class: "panel-links" }, el("a", { href: `${ORIGIN}/v1/diagnostics`, target: "_blank", rel: "noopener" }, "Diagnostics as JSON")),
    ].filter(Boolean),
  );
}

function workers(report) {
  const all = Object.values(report.services).flat();
  if (all.length === 0) return null;
  return el(
    "div",
    { class: "table-wrap", tabindex: "0", role: "region", "aria-label": "Workers" },
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

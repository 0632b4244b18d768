/** One picture in full: the picture with what was found on it, the table, the figures, and what can be done with it. */

import { getJob, links } from "./api.js";
import { byId, el, redraw } from "./dom.js";
import { ENDED, STATES, bytes, findings, kindName, moment, percent, seconds, tally } from "./format.js";
import { follow } from "./follow.js";
import { sizeOf } from "./overlay.js";
import { picture } from "./picture.js";
import { store } from "./store.js";
import { timings } from "./timings.js";
import { again, cancel, requeue, withdraw } from "./upload.js";

const pane = byId("detail");
const blank = pane.firstElementChild;
let shown = null;

export function showDetail() {
  store.addEventListener("select", (event) => open(event.detail));
  store.addEventListener("change", (event) => {
    if (shown && event.detail.includes(shown)) draw();
  });
  setInterval(() => shown?.state === "retrying" && draw(), 1000);
  pane.addEventListener("pointerover", (event) => point(event.target));
  pane.addEventListener("focusin", (event) => point(event.target));
  pane.addEventListener("pointerleave", () => point(null));
}

function open(item) {
  shown = item;
  draw();
  if (item?.id) complete(item);
}

/** What the list did not tell. */
async function complete(item) {
  if (!ENDED.has(item.state)) {
    follow(item);
    return;
  }
  if (item.full) return;
  try {
    store.learn(await getJob(item.id, 0), item);
    item.full = true;
  } catch (error) {
    if (error.status === 404 || error.status === 410) store.set(item, { state: "gone", error });
  }
}

function draw() {
  if (!shown || !store.has(shown)) {
    shown = null;
    pane.replaceChildren(blank);
    return;
  }
  const item = shown;
  const figures = [table(item), item.job?.timings ? timings(item.job) : null, actions(item)];
  const body = el("div", { class: "detail-body" }, picture(item), el("div", { class: "detail-figures" }, figures));
  redraw(pane, [heading(item), trouble(item), body]);
}

function heading(item) {
  const [word, level] = STATES[item.state] ?? [item.state, "off"];
  const size = sizeOf(item.job);
  const facts = [
    size && `${size.width} × ${size.height} px`,
    item.size && bytes(item.size),
    item.job?.created_ms && moment(item.job.created_ms),
    item.job?.result?.model && `${item.job.result.model.name} ${item.job.result.model.version}`,
  ];
  return el(
    "header",
    { class: "detail-head" },
    el("h2", { class: "detail-name" }, item.name),
    el("span", { class: "chip", "data-level": level }, item.state === "done" && item.job?.result ? tally(item.job) : `${word}${item.state === "sending" ? ` ${percent(item.progress)}` : ""}`),
    el("p", { class: "facts" }, facts.filter(Boolean).map((fact) => el("span", {}, fact))),
  );
}

const EXPLAINED = {
  failed: "This picture cannot be worked on.",
  dead: "This picture was tried several times and given up.",
  refused: "The picture was not accepted, so there is no job for it.",
  gone: "The API no longer keeps this job.",
};

function trouble(item) {
  const blocks = [];
  if (item.actionError) blocks.push(problem("bad", item.actionError.title, item.actionError.detail));
  if (item.state === "retrying") {
    const left = seconds((item.retryAt - Date.now()) / 1000);
    blocks.push(problem("warn", item.error?.title ?? "Not sent yet", `${item.error?.detail ?? ""} It is sent again in ${left}, by itself.`));
  } else if (item.error || EXPLAINED[item.state]) {
    const title = item.error?.title || EXPLAINED[item.state] || "";
    blocks.push(problem(item.state === "gone" ? "off" : "bad", title, item.error?.detail ?? "", item.error?.code));
  }
  if (item.state === "done" && item.job?.attempts > 1) blocks.push(el("p", { class: "aside" }, `Tried ${item.job.attempts} times.`));
  return blocks.length ? el("div", { class: "troubles" }, blocks) : null;
}

/** Whether the same picture may fare better: the fault was not its own. */
const worthAnother = (error) => error?.status === 0 || error?.status >= 500;

const problem = (level, title, detail, code) =>
  el(
    "div",
    { class: "problem", "data-level": level },
    title ? el("strong", {}, title) : null,
    detail ? el("p", {}, detail) : null,
    code ? el("code", {}, code) : null,
  );

function table(item) {
  if (item.state !== "done") return null;
  if (!item.job?.result) return item.deleted || item.full ? el("p", { class: "aside" }, "The result is no longer kept.") : null;
  const found = findings(item.job);
  if (found.length === 0) return el("p", { class: "aside" }, "No gauge was found. A closer or sharper picture, taken straight on, may help.");
  const corners = el("span", { class: "wide" }, ": left, top, right, bottom");
  const head = ["#", "Kind", "Score", ["Box (px)", corners]];
  return el(
    "div",
    { class: "table-wrap", tabindex: "0", role: "region", "aria-label": "What was found", "data-focus": "table" },
    el(
      "table",
      {},
      el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)))),
      el("tbody", {}, found.map(line)),
    ),
  );
}

const line = (finding, index) =>
  el(
    "tr",
    { "data-index": index },
    el("td", { class: "number" }, el("span", { class: "key", "data-kind": finding.kind ?? "other" }, String(index + 1))),
    el("td", {}, kindName(finding)),
    el("td", { class: "number" }, percent(finding.score)),
    el("td", { class: "number mono" }, finding.box.map((v) => v.toFixed(0)).join(", ")),
  );

/** A row and its box light up together. */
function point(target) {
  const index = target?.closest?.("[data-index]")?.dataset.index;
  pane.classList.toggle("pointing", index !== undefined);
  for (const node of pane.querySelectorAll("[data-index]")) node.classList.toggle("lit", node.dataset.index === index);
}

function actions(item) {
  const to = item.id && item.state !== "gone" ? links(item.id) : null;
  const kept = to && item.job?.has_image !== false && !item.deleted;
  const out = (href, text, name) => el("a", { href, target: "_blank", rel: "noopener", "data-focus": name }, text);
  const act = (text, name, does) => el("button", { type: "button", class: "button", "data-focus": name, onclick: does }, text);
  const [, level] = STATES[item.state] ?? [];
  return el(
    "footer",
    { class: "actions" },
    kept && item.state === "done" && item.job?.result ? out(to.annotated, "Annotated picture", "annotated") : null,
    kept ? out(to.image, "Original", "original") : null,
    to ? out(to.json, "JSON", "json") : null,
    el("span", { class: "gap" }),
    level === "open" || level === "warn" ? act("Cancel", "act", () => cancel(item)) : null,
    item.state === "refused" && worthAnother(item.error) ? act("Try again", "again", () => again(item)) : null,
    item.state === "dead" && !item.deleted ? act("Try again", "again", () => requeue(item)) : null,
    !to ? (level === "bad" || level === "off") && act("Remove from the list", "act", () => store.remove(item)) : null,
    to && ENDED.has(item.state) && !item.deleted ? removal(item, act) : null,
  );
}

/** Deleting asks once, in place. */
function removal(item, act) {
  const ask = (on) => () => store.set(item, { asking: on });
  if (!item.asking) return act("Delete", "act", ask(true));
  const sure = async () => {
    store.set(item, { asking: false });
    await withdraw(item);
  };
  return el(
    "span",
    { class: "sure" },
    "Delete picture and result?",
    el("button", { type: "button", class: "button danger", "data-focus": "act", onclick: sure }, "Delete"),
    act("Keep", "keep", ask(false)),
  );
}

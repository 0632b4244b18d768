/** The list of pictures: one row for each, kept up to date in place. */

import { byId, el } from "./dom.js";
import { STATES, findings, kindName, moment, percent, seconds, tally } from "./format.js";
import { plan } from "./overlay.js";
import { store } from "./store.js";
import { cancel } from "./upload.js";

const rows = new Map();
const list = byId("list");

export function showList() {
  store.addEventListener("change", (event) => {
    for (const item of event.detail) refresh(item);
    arrange();
  });
  setInterval(() => {
    for (const item of store.ordered()) if (item.state === "retrying") refresh(item);
  }, 1000);
}

function refresh(item) {
  if (!store.has(item)) {
    rows.get(item.key)?.row.remove();
    rows.delete(item.key);
    return;
  }
  let parts = rows.get(item.key);
  if (!parts) rows.set(item.key, (parts = newRow(item)));
  const [word, level] = STATES[item.state] ?? [item.state, "off"];
  parts.row.dataset.level = level;
  parts.name.textContent = item.name;
  parts.state.textContent = item.cancelWanted && (level === "open" || level === "warn") ? "Cancelling" : word;
  parts.more.textContent = more(item);
  parts.time.textContent = item.job ? moment(item.job.created_ms) : "";
  if (store.selected === item.key) parts.select.setAttribute("aria-current", "true");
  else parts.select.removeAttribute("aria-current");
  parts.bar.hidden = item.state !== "sending";
  parts.bar.value = item.progress;
  parts.stop.hidden = !(level === "open" || level === "warn");
  parts.stop.setAttribute("aria-label", `Cancel ${item.name}`);
  if (parts.drawn !== item.job) {
    parts.plan.replaceChildren(plan(item.job));
    parts.drawn = item.job;
  }
}

function newRow(item) {
  const parts = { drawn: undefined };
  parts.plan = el("span", { class: "row-plan" });
  parts.name = el("span", { class: "row-name" });
  parts.state = el("span", { class: "row-state" });
  parts.more = el("span", { class: "row-more" });
  parts.time = el("span", { class: "row-time" });
  parts.bar = el("progress", { class: "row-bar", max: 1, "aria-label": `Sending ${item.name}`, hidden: true });
  parts.select = el(
    "button",
    { type: "button", class: "row-select" },
    parts.plan,
    el("span", { class: "row-text" }, parts.name, el("span", { class: "row-line" }, parts.state, parts.more)),
    parts.time,
  );
  parts.stop = el("button", { type: "button", class: "row-stop", onclick: () => cancel(item) }, "Cancel");
  parts.row = el("li", { class: "row", "data-key": item.key }, parts.select, parts.stop, parts.bar);
  return parts;
}

/** The second half of a row's line. */
function more(item) {
  if (item.state === "sending") return item.progress < 1 ? percent(item.progress) : "waiting for the answer";
  if (item.state === "retrying") return `in ${seconds((item.retryAt - Date.now()) / 1000)}`;
  if (item.state === "done") return item.job?.result ? summary(item.job) : "";
  return item.error ? item.error.title || item.error.detail : "";
}

function summary(job) {
  const found = findings(job);
  if (found.length !== 1) return tally(job);
  return `${kindName(found[0])} ${percent(found[0].score)}`;
}

/** Move only what stands in the wrong place, so that focus and scrolling stay where they are. */
function arrange() {
  const ordered = store.ordered();
  const held = document.activeElement;
  ordered.forEach((item, index) => {
    const row = rows.get(item.key)?.row;
    if (row && list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
  });
  if (held !== document.activeElement && list.contains(held)) held.focus({ preventScroll: true });
  byId("list-empty").hidden = ordered.length > 0;
  const open = ordered.filter((item) => ["open", "warn"].includes(STATES[item.state]?.[1])).length;
  byId("list-note").textContent = open ? `${open} not finished` : "";
}

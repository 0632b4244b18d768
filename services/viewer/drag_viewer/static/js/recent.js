/** Jobs that were there before, whoever posted them: read from the API, page by page, and looked at again now and then. */

import { listJobs } from "./api.js";
import { byId } from "./dom.js";
import { ENDED } from "./format.js";
import { follow } from "./follow.js";
import { pulse } from "./pulse.js";
import { store } from "./store.js";

const PAGE = 20;
const AGAIN_MS = 15_000;

let cursor = null;
let started = false;
let timer = null;

export function recent() {
  byId("more-button").addEventListener("click", older);
  pulse.addEventListener("back", newest);
  document.addEventListener("visibilitychange", () => !document.hidden && newest());
  return newest();
}

async function newest() {
  clearTimeout(timer);
  try {
    if (!document.hidden || !started) take(await listJobs(PAGE, null), !started);
    started = true;
  } catch {
    // The health line says that the API is away; the next look comes by itself.
  }
  timer = setTimeout(newest, AGAIN_MS);
}

async function older() {
  const button = byId("more-button");
  button.disabled = true;
  try {
    take(await listJobs(PAGE, cursor), true);
  } catch (error) {
    byId("list-note").textContent = `${error.title}. ${error.detail}`;
  }
  button.disabled = false;
}

function take(page, moveCursor) {
  for (const job of page.jobs) {
    const item = store.learn(job);
    if (!ENDED.has(item.state)) follow(item);
  }
  if (!moveCursor) return;
  cursor = page.next;
  byId("more-button").hidden = !cursor;
}

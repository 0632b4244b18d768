/** Jobs that were there before, whoever posted them: read from the API, page by page, and looked at again now and then. */

import { listJobs } from "./api.js";
import { byId } from "./dom.js";
import { ENDED } from "./format.js";
import { follow } from "./follow.js";
import { pulse } from "./pulse.js";
import { store } from "./store.js";

const PAGE = 20;
const AGAIN_MS = 15_000;
const PAGES = 10; // at most, to find where what is known begins
const MOST = 300; // kept in the list while nobody asks for older ones

let cursor = null;
let started = false;
let asked = false;
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
    if (!document.hidden || !started) await look();
  } catch {
    // The health line says that the API is away; the next look comes by itself.
  }
  clearTimeout(timer); // another look may have begun meanwhile
  timer = setTimeout(newest, AGAIN_MS);
}

/** From the newest on, to where it meets what is known. */
async function look() {
  let page = await listJobs(PAGE, null);
  let fresh = take(page);
  if (!started) setCursor(page.next);
  for (let n = 1; started && fresh === PAGE && page.next && n < PAGES; n += 1) {
    page = await listJobs(PAGE, page.next);
    fresh = take(page);
  }
  started = true;
  if (!asked && store.trim(MOST)) [cursor, byId("more-button").hidden] = [null, false];
}

async function older() {
  const button = byId("more-button");
  button.disabled = true;
  asked = true;
  try {
    for (let fresh = 0; fresh === 0 && !button.hidden; ) {
      const page = await listJobs(PAGE, cursor);
      fresh = take(page);
      setCursor(page.next);
    }
  } catch (error) {
    byId("list-note").textContent = `${error.title}. ${error.detail}`;
  }
  button.disabled = false;
}

/** Returns how many of a page's jobs were not known yet. */
function take(page) {
  let fresh = 0;
  for (const job of page.jobs) {
    if (!store.ofJob(job.id)) fresh += 1;
    const item = store.learn(job);
    if (!ENDED.has(item.state)) follow(item);
  }
  return fresh;
}

function setCursor(next) {
  cursor = next;
  byId("more-button").hidden = !next;
}

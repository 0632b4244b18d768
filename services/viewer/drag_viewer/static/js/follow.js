/**
 * Waiting for jobs to end: two polls at most, this page's own pictures first, and patience while the API is away.
 * One poll may stay long with its job; the other takes turns, so that no job that lasts keeps news of the rest away.
 */

import { getJob } from "./api.js";
import { announce } from "./dom.js";
import { ENDED, STATES, tally } from "./format.js";
import { Patience } from "./patience.js";
import { pulse } from "./pulse.js";
import { store } from "./store.js";

const POLLS = 2; // a browser has six connections to one host: three send, one asks for health
const LONG_S = 20;
const ROUND_S = 4; // within which each of the others had its turn
const PAUSE_MS = 250; // before the same job is asked for again

const waiting = new Map();
const polling = new Map();

const patience = new Patience(0.5, 15, pump);
pulse.addEventListener("back", () => patience.waiting && patience.release());

export function follow(item) {
  if (!item.id || ENDED.has(item.state) || polling.has(item.key)) return;
  waiting.set(item.key, item);
  pump();
}

function next() {
  for (const item of waiting.values()) if (item.mine) return item;
  return waiting.values().next().value;
}

function pump() {
  while (!patience.waiting && waiting.size > 0 && polling.size < POLLS) {
    const item = next();
    waiting.delete(item.key);
    if (store.has(item) && !ENDED.has(item.state)) poll(item);
  }
}

/** How long a poll may wait when others are waiting for their turn (s). */
const turn = () => Math.min(2, Math.max(0.25, ROUND_S / (waiting.size + 1)));

async function poll(item) {
  const wait = [...polling.values()].includes(LONG_S) ? turn() : LONG_S;
  polling.set(item.key, wait);
  const before = performance.now();
  try {
    const job = await getJob(item.id, wait);
    patience.reset();
    const already = ENDED.has(item.state);
    store.learn(job, item);
    if (ENDED.has(item.state) && !already && item.mine) announce(spoken(item));
  } catch (error) {
    failed(item, error);
  }
  const spare = PAUSE_MS - (performance.now() - before);
  if (!ENDED.has(item.state) && spare > 0) await new Promise((resume) => setTimeout(resume, spare));
  polling.delete(item.key);
  if (!ENDED.has(item.state) && item.state !== "gone" && store.has(item)) waiting.set(item.key, item);
  pump();
}

function failed(item, error) {
  if (error.status === 404 || error.status === 410) {
    store.set(item, { state: "gone", error: { title: error.title, detail: error.detail } });
    return;
  }
  patience.hold(error.retryAfterS);
  if (error.away) pulse.soon();
}

function spoken(item) {
  if (item.state === "done") return `${item.name}: ${tally(item.job)}.`;
  return `${item.name}: ${STATES[item.state][0].toLowerCase()}. ${item.error?.detail ?? ""}`;
}

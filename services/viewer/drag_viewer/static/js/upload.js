/** Sending pictures: a few at a time, each under a key of its own, again and again until the API takes or refuses it. */

import { MAX_UPLOAD_BYTES, ApiError, deleteJob, postPicture, requeueJob } from "./api.js";
import { announce } from "./dom.js";
import { follow } from "./follow.js";
import { bytes } from "./format.js";
import { Patience } from "./patience.js";
import { pulse } from "./pulse.js";
import { store } from "./store.js";

const LANES = 3;
const TRIES = 5; // for faults that look like ours or the API's own, not for a busy or an absent API
const ROOM_FOR_FORM = 4096; // the bound is on the whole body: boundaries and headers count

const queue = [];
const sending = new Map();

/** Why everything waits, for the notice on the page: `{error, until}` or null. */
export let stalled = null;
export const stalls = new EventTarget();

const patience = new Patience(1, 20, () => {
  tellStall(null);
  pump();
});

/** Go on now, whatever the wait: a person asked, or the API is back. */
export function resume() {
  if (patience.waiting) patience.release();
}
pulse.addEventListener("back", resume);

/** Two pictures must never share a key; `crypto.randomUUID` is not there on plain http. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

export function add(files) {
  const items = files.map((file) =>
    store.add({ file, name: file.name || "picture", size: file.size, state: "waiting", mine: true, idempotencyKey: newKey(), tries: 0 }),
  );
  for (const item of items) {
    const reason = refusal(item.file);
    if (reason) refuse(item, reason);
    else {
      item.url = URL.createObjectURL(item.file);
      queue.push(item);
    }
  }
  announce(items.length === 1 ? `${items[0].name} added.` : `${items.length} pictures added.`);
  pump();
  return items;
}

/** What can be said without asking the API. */
function refusal(file) {
  if (file.type && !file.type.startsWith("image/")) {
    return { title: "Not a picture", detail: `A picture was expected; this file is ${file.type}.` };
  }
  if (file.size + ROOM_FOR_FORM > MAX_UPLOAD_BYTES) {
    return { title: "Too large", detail: `At most ${bytes(MAX_UPLOAD_BYTES)} were expected; this file has ${bytes(file.size)}.` };
  }
  return null;
}

function refuse(item, error) {
  store.set(item, { state: "refused", error: { title: error.title, detail: error.detail, status: error.status } });
  announce(`${item.name}: refused. ${error.title}. ${error.detail}`);
}

export const unsent = () => queue.length + sending.size;

function pump() {
  while (!patience.waiting && queue.length > 0 && sending.size < LANES) send(queue.shift());
}

async function send(item) {
  const controller = new AbortController();
  sending.set(item.key, controller);
  store.set(item, { state: "sending", progress: 0, error: null });
  try {
    await readable(item);
    const onProgress = (progress) => controller.signal.aborted || store.set(item, { progress });
    accepted(item, await postPicture(item.file, item.name, item.idempotencyKey, onProgress, controller.signal));
  } catch (error) {
    if (!(error instanceof ApiError)) store.set(item, { state: "cancelled", file: null });
    else notAccepted(item, error);
  } finally {
    sending.delete(item.key);
    pump();
  }
}

/** A file that was moved, changed or is a folder would look like a broken connection for ever. */
async function readable(item) {
  try {
    await item.file.slice(0, 1).arrayBuffer();
  } catch {
    throw new ApiError({ status: 400, title: "The file cannot be read", detail: "It is a folder, or was moved or changed since." });
  }
}

function accepted(item, job) {
  patience.reset();
  store.learn({ size_bytes: item.size, name: item.name, created_ms: Date.now(), ...job }, item);
  if (item.cancelWanted) withdraw(item);
  else follow(item);
}

function notAccepted(item, error) {
  // Once everything was sent, only the answer may have been lost: the same key finds the job, should there be one.
  if (error.away && item.progress === 1) item.mayExist = true;
  if (!error.passing) {
    refuse(item, error);
    return;
  }
  const busy = error.status === 429 || error.status === 503;
  if (!busy && !(error.away && !pulse.answers)) item.tries += 1;
  if (item.tries >= TRIES) {
    const detail = error.away ? `The connection broke ${TRIES} times while this picture was sent.` : `${error.detail} Tried ${TRIES} times.`;
    refuse(item, { title: error.title, detail: detail.trim(), status: error.status });
    return;
  }
  const until = patience.hold(error.retryAfterS);
  queue.unshift(item);
  store.set(item, { state: "retrying", progress: 0, error, retryAt: until });
  tellStall({ error, until });
  if (error.away) pulse.soon();
}

function tellStall(stall) {
  if (stall && !stalled) announce(`${stall.error.title}. Sending goes on by itself.`);
  stalled = stall;
  stalls.dispatchEvent(new Event("change"));
}

/** Start over with a picture that was refused. */
export function again(item) {
  store.set(item, { tries: 0, state: "waiting", error: null });
  queue.push(item);
  pump();
}

/** Stop a picture that is not a job yet, or a job that has not ended. */
export function cancel(item) {
  if (item.id) return withdraw(item);
  const controller = sending.get(item.key);
  if (item.mayExist || (controller && item.progress === 1)) {
    store.set(item, { cancelWanted: true });
    return Promise.resolve();
  }
  controller?.abort();
  const place = queue.indexOf(item);
  if (place >= 0) queue.splice(place, 1);
  store.set(item, { state: "cancelled", file: null });
  stalls.dispatchEvent(new Event("change"));
  announce(`${item.name}: cancelled.`);
  return Promise.resolve();
}

/** DELETE: cancels an open job, removes picture and result of an ended one. */
export async function withdraw(item) {
  const wasOpen = item.state === "queued" || item.state === "running";
  store.set(item, { actionError: null });
  try {
    const job = await deleteJob(item.id);
    if (item.url) URL.revokeObjectURL(item.url);
    Object.assign(item, { url: null, file: null, deleted: true, job: { ...item.job, result: null } });
    if (job?.id) store.learn(job, item);
    else store.set(item, { state: wasOpen ? "cancelled" : item.state });
    announce(`${item.name}: ${item.state === "cancelled" ? "cancelled" : "picture and result deleted"}.`);
  } catch (error) {
    store.set(item, { cancelWanted: false, actionError: { title: error.title, detail: error.detail } });
    if (wasOpen) follow(item);
  }
}

/** Have a dead job tried anew. */
export async function requeue(item) {
  store.set(item, { actionError: null });
  try {
    const job = await requeueJob(item.id);
    if (!job) throw new ApiError({ title: "It cannot be tried again", detail: "Its dead letter is no longer kept." });
    store.set(item, { full: false, mine: true });
    store.learn(job, item);
    announce(`${item.name}: queued again.`);
    follow(item);
  } catch (error) {
    store.set(item, { actionError: { title: error.title, detail: error.detail } });
  }
}

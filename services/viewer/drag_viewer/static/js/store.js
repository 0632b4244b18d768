/** What this page knows: one item for each picture, whether it is still being sent or has long been a job. */

import { ENDED } from "./format.js";

/**
 * An item: `key` (this page's own name for it), `id` (the job's, once there is one), `name`, `size`, `state`
 * (see STATES in format.js), `progress` (0..1 while sending), `error` ({title, detail}), `retryAt` (ms), `job` (as the API
 * tells it), `file` and `url` (while the picture itself is at hand), `mine` (added on this page).
 */
class Store extends EventTarget {
  #items = new Map();
  #byJob = new Map();
  #changed = new Set();
  #serial = 0;
  selected = null;

  add(fields) {
    const item = { key: `i${++this.#serial}`, serial: this.#serial, id: null, job: null, error: null, progress: 0, ...fields };
    this.#items.set(item.key, item);
    if (item.id) this.#byJob.set(item.id, item);
    this.touch(item);
    return item;
  }

  get(key) {
    return this.#items.get(key) ?? null;
  }

  ofJob(id) {
    return this.#byJob.get(id) ?? null;
  }

  has(item) {
    return this.#items.get(item.key) === item;
  }

  /** Pictures that are not jobs yet stand on top, then jobs, newest first. */
  ordered() {
    return [...this.#items.values()].sort((a, b) => {
      if (!a.job !== !b.job) return a.job ? 1 : -1;
      if (!a.job) return b.serial - a.serial;
      return b.job.created_ms - a.job.created_ms || (a.id < b.id ? 1 : -1);
    });
  }

  /** Take over what the API tells about a job; an ended job never goes back to open. */
  learn(job, item = this.#byJob.get(job.id)) {
    const known = item ?? this.add({ id: job.id, name: job.name || job.id, size: job.size_bytes, state: job.status, mine: false });
    if (!this.has(known)) return known;
    // Old news, unless it was dead: those are the only ones that can be tried anew.
    const stale = ENDED.has(known.state) && known.state !== "dead" && !ENDED.has(job.status);
    if (stale && known.id === job.id) return known;
    this.#unite(known, job.id);
    known.id = job.id;
    this.#byJob.set(job.id, known);
    // The list may leave out what the job itself tells: what is known stays known, except what a deletion removed.
    known.job = job.status === known.job?.status ? { ...known.job, ...job } : { ...job };
    known.state = job.status;
    known.size = job.size_bytes ?? known.size;
    known.progress = 1;
    known.error = job.error ? { title: "", detail: job.error.detail ?? "", code: job.error.code ?? "" } : null;
    if (ENDED.has(known.state)) known.file = null;
    this.touch(known);
    return known;
  }

  /** The list may have told of a job before the answer to its own upload came: one picture, one item. */
  #unite(item, id) {
    const other = this.#byJob.get(id);
    if (!other || other === item) return;
    const chosen = this.selected === other.key;
    this.remove(other);
    if (chosen) this.select(item);
  }

  /** Forget the oldest ended jobs that were not added on this page; true when some were. */
  trim(most) {
    const spare = this.ordered().slice(most);
    const old = spare.filter((item) => !item.mine && ENDED.has(item.state) && item.key !== this.selected);
    for (const item of old) this.remove(item);
    return old.length > 0;
  }

  set(item, fields) {
    Object.assign(item, fields);
    this.touch(item);
  }

  remove(item) {
    if (item.url) URL.revokeObjectURL(item.url);
    this.#items.delete(item.key);
    if (item.id) this.#byJob.delete(item.id);
    if (this.selected === item.key) this.selected = null;
    this.touch(item);
  }

  select(item) {
    const before = this.get(this.selected);
    this.selected = item?.key ?? null;
    if (before) this.touch(before);
    if (item) this.touch(item);
    this.dispatchEvent(new CustomEvent("select", { detail: item }));
  }

  /** Tell listeners once a turn, with everything that changed in it. */
  touch(item) {
    if (this.#changed.size === 0) {
      queueMicrotask(() => {
        const items = [...this.#changed];
        this.#changed.clear();
        this.dispatchEvent(new CustomEvent("change", { detail: items }));
      });
    }
    this.#changed.add(item);
  }
}

export const store = new Store();

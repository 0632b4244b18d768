/** Is the API there, and would it work on a picture posted now? Asked regularly, more often while the answer is no. */

import { diagnostics, readiness, someoneThere } from "./api.js";

const CALM_MS = 10_000;
const UNEASY_MS = 3_000;
const AWAY_MOST_MS = 15_000;

/**
 * `answers`: somebody is there. `foreign`: somebody is, but does not let this page read (CORS). `ready`: true, false, or null before the first answer. `since`: when it got so (ms).
 * `report`: the newest diagnostics, asked for while `curious` or when something is wrong.
 * Events: `change` after each look, `back` when it is there or ready again.
 */
class Pulse extends EventTarget {
  answers = false;
  ready = null;
  foreign = false;
  since = Date.now();
  body = {};
  report = null;
  curious = false;
  #timer = null;
  #looking = false;
  #misses = 0;
  #there = false;

  start() {
    document.addEventListener("visibilitychange", () => !document.hidden && this.soon());
    window.addEventListener("online", () => this.soon());
    window.addEventListener("offline", () => this.soon());
    this.look();
  }

  /** Look now. */
  soon() {
    if (!this.#looking) this.look();
  }

  async look() {
    clearTimeout(this.#timer);
    this.#looking = true;
    const was = { answers: this.answers, ready: this.ready };
    try {
      const { ready, body } = await readiness();
      Object.assign(this, { answers: true, foreign: false, ready, body });
      this.#misses = 0;
      if (this.curious || !ready) this.report = await diagnostics().catch(() => null);
    } catch {
      Object.assign(this, { answers: false, ready: false, body: {}, report: null });
      this.#misses += 1;
      // Twice in a row: an API that is just coming up looks the same once.
      const there = await someoneThere();
      this.foreign = there && this.#there;
      this.#there = there;
    }
    this.#looking = false;
    if (was.answers !== this.answers || was.ready !== this.ready) this.since = Date.now();
    this.dispatchEvent(new Event("change"));
    const first = was.ready === null;
    if (!first && ((this.answers && !was.answers) || (this.ready && !was.ready))) this.dispatchEvent(new Event("back"));
    this.#timer = setTimeout(() => this.look(), this.#pause());
  }

  #pause() {
    if (this.ready) return this.curious ? UNEASY_MS : CALM_MS;
    return Math.min(AWAY_MOST_MS, UNEASY_MS * 0.5 * 2 ** Math.min(this.#misses, 5)) * (0.9 + Math.random() * 0.2);
  }
}

export const pulse = new Pulse();

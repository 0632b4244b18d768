/** Waiting before another try: growing, with jitter, and cut short when the API is back. */

export class Patience {
  #failures = 0;
  #timer = null;
  until = 0;

  constructor(firstS, mostS, resume) {
    Object.assign(this, { firstS, mostS, resume });
  }

  get waiting() {
    return this.#timer !== null;
  }

  /** Wait as long as the answer asks, else longer each time; then `resume` is called. Returns when that is. */
  hold(retryAfterS = null) {
    const grown = Math.min(this.mostS, this.firstS * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 16);
    const wishedS = retryAfterS ?? grown;
    const waitS = wishedS + Math.random() * Math.min(wishedS * 0.2, 3);
    this.until = Math.max(this.until, Date.now() + waitS * 1000);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.release(), this.until - Date.now());
    return this.until;
  }

  /** Go on now. */
  release() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.until = 0;
    this.resume();
  }

  /** Something worked: the next failure starts from the beginning. */
  reset() {
    this.#failures = 0;
  }
}

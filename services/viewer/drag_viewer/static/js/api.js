/** The API, as this page speaks to it: one function for each call, one kind of error. */

const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;

export const ORIGIN = meta("drag-api");
export const MAX_UPLOAD_BYTES = Number(meta("drag-max-upload-bytes"));

/** An answer that is not the one asked for, or none at all (`away`). */
export class ApiError extends Error {
  constructor({ status = 0, title, detail = "", retryAfterS = null, code = "" }) {
    super(detail ? `${title}: ${detail}` : title);
    Object.assign(this, { status, title, detail, retryAfterS, code });
  }

  /** Nobody answered: the API is down, restarting, or the network is gone. */
  get away() {
    return this.status === 0;
  }

  /** Worth another try as it is: nobody answered, or whoever did is busy. */
  get passing() {
    return this.away || this.status === 429 || this.status === 408 || this.status >= 500;
  }
}

export const away = () => new ApiError({ title: "The API does not answer", detail: `Nothing answers at ${ORIGIN}.` });

/** Problem details (RFC 9457) as an ApiError; survives bodies that are anything else. */
export function problem(status, text, retryAfter) {
  let body = {};
  try {
    body = JSON.parse(text) ?? {};
  } catch {
    // A proxy's page, or nothing: the status has to do.
  }
  const wait = Number.parseFloat(retryAfter ?? "");
  return new ApiError({
    status,
    title: typeof body.title === "string" ? body.title : `The API answered ${status}`,
    detail: typeof body.detail === "string" ? body.detail : "",
    code: typeof body.code === "string" ? body.code : "",
    retryAfterS: Number.isFinite(wait) && wait >= 0 ? wait : null,
  });
}

async function call(path, { timeoutS = 15, signal, ...options } = {}) {
  const limits = [AbortSignal.timeout(timeoutS * 1000), ...(signal ? [signal] : [])];
  let response;
  let text;
  try {
    response = await fetch(ORIGIN + path, { cache: "no-store", ...options, signal: anyOf(limits) });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw away();
  }
  return { ok: response.ok, status: response.status, text, retryAfter: response.headers.get("Retry-After") };
}

/** `AbortSignal.any`, also where it is not there yet. */
function anyOf(signals) {
  if (AbortSignal.any) return AbortSignal.any(signals);
  const controller = new AbortController();
  for (const one of signals) one.addEventListener("abort", () => controller.abort(one.reason), { once: true });
  return controller.signal;
}

async function json(path, options) {
  const { ok, status, text, retryAfter } = await call(path, options);
  if (!ok) throw problem(status, text, retryAfter);
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError({ status, title: "The API's answer cannot be read", detail: "JSON was expected." });
  }
}

const job = (id) => `/v1/jobs/${encodeURIComponent(id)}`;

export const getJob = (id, waitS, signal) => json(`${job(id)}?wait=${waitS}`, { timeoutS: waitS + 10, signal });
export const deleteJob = (id) => json(job(id), { method: "DELETE" });
export const listJobs = (limit, cursor) =>
  json(`/v1/jobs?limit=${limit}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
export const diagnostics = () => json("/v1/diagnostics", { timeoutS: 8 });

/** Have a dead job tried anew. Resolves to the job; null when its dead letter is no longer kept. */
export async function requeueJob(id) {
  let cursor = null;
  do {
    const page = await json(`/v1/dead?limit=200${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    const letter = page.dead.find((one) => one.job_id === id);
    if (letter) return json(`/v1/dead/${encodeURIComponent(letter.id)}/requeue`, { method: "POST" });
    cursor = page.next;
  } while (cursor);
  return null;
}

/** Somebody answers at the API's address, whether or not this page may read the answer. */
export async function someoneThere() {
  try {
    await fetch(`${ORIGIN}/health/live`, { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(5000) });
    return true;
  } catch {
    return false;
  }
}

/** Ready or not is the answer here, not an error: `{ready, body}`. */
export async function readiness() {
  const { ok, text } = await call("/health/ready", { timeoutS: 8 });
  try {
    return { ready: ok, body: JSON.parse(text) };
  } catch {
    return { ready: ok, body: {} };
  }
}

export const links = (id) => ({
  json: ORIGIN + job(id),
  image: `${ORIGIN}${job(id)}/image`,
  annotated: `${ORIGIN}${job(id)}/annotated`,
});

const SILENCE_MS = 60_000; // without a byte going out or an answer, before a connection counts as broken

class Watchdog {
  constructor(ms, bark) {
    Object.assign(this, { ms, bark });
    this.pat();
  }

  pat() {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.bark, this.ms);
  }

  stop() {
    clearTimeout(this.timer);
  }
}

/**
 * Post one picture. Resolves to the accepted job, rejects with an ApiError; `signal` gives up.
 * XMLHttpRequest, since fetch tells nothing about how much of a body has gone out.
 */
export function postPicture(file, name, key, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("file", file, name);
    const request = new XMLHttpRequest();
    request.open("POST", `${ORIGIN}/v1/images`);
    request.setRequestHeader("Idempotency-Key", key);
    const watchdog = new Watchdog(SILENCE_MS, () => {
      reject(away());
      request.abort();
    });
    const progress = (share) => {
      watchdog.pat();
      onProgress(share);
    };
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.upload.onload = () => progress(1);
    request.onerror = () => reject(away());
    request.onabort = () => reject(new DOMException("given up", "AbortError"));
    request.onloadend = () => watchdog.stop();
    request.onload = () => {
      if (request.status !== 202) {
        reject(problem(request.status, request.responseText, request.getResponseHeader("Retry-After")));
        return;
      }
      try {
        const body = JSON.parse(request.responseText);
        resolve(body.jobs ? body.jobs[0] : body);
      } catch {
        reject(new ApiError({ status: 202, title: "The API's answer cannot be read", detail: "JSON was expected." }));
      }
    };
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}

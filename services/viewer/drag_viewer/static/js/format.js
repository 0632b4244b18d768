/** Numbers and states in words. */

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${(count / 1e3).toFixed(0)} kB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}

export function milliseconds(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

export function seconds(s) {
  const whole = Math.max(0, Math.round(s));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export const percent = (score) => `${(score * 100).toFixed(0)}\u00a0%`;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** The time of today, the date with it on any other day. */
export function moment(ms) {
  const date = new Date(ms);
  return date.toDateString() === new Date().toDateString() ? clock.format(date) : day.format(date);
}

export const KINDS = { analog: "Dial", digital: "Digital display", counter: "Drum counter" };
export const kindName = (finding) => KINDS[finding.kind] ?? finding.kind ?? finding.label ?? "Unknown";

/** What each state is called and how alarming it is: `open`, `good`, `bad` or `off`. */
export const STATES = {
  waiting: ["Waiting to be sent", "open"],
  sending: ["Sending", "open"],
  retrying: ["Trying again", "warn"],
  refused: ["Refused", "bad"],
  queued: ["Queued", "open"],
  running: ["Running", "open"],
  done: ["Done", "good"],
  failed: ["Failed", "bad"],
  dead: ["Dead", "bad"],
  cancelled: ["Cancelled", "off"],
  gone: ["No longer kept", "off"],
};

export const ENDED = new Set(["done", "failed", "dead", "cancelled"]);

/** Everything found, gauges first. */
export const findings = (job) => [...(job?.result?.gauges ?? []), ...(job?.result?.detections ?? [])];

/** "3 gauges", "1 gauge", "No gauge found". */
export function tally(job) {
  const found = findings(job);
  const noun = job?.result?.detections?.length ? "object" : "gauge";
  if (found.length === 0) return `No ${noun} found`;
  return `${found.length} ${noun}${found.length === 1 ? "" : "s"}`;
}

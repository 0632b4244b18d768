/** Puts the page together. */

import { getJob } from "./api.js";
import { showDetail } from "./detail.js";
import { byId } from "./dom.js";
import { showHealth } from "./health.js";
import { intake } from "./intake.js";
import { pulse } from "./pulse.js";
import { recent } from "./recent.js";
import { showList } from "./rows.js";
import { store } from "./store.js";
import { add, unsent } from "./upload.js";

const NARROW = matchMedia("(max-width: 53rem)");
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

/** A person's choice moves to the result where it is out of view; a picture that shows itself does not. */
function choose(item, { moves }) {
  store.select(item);
  if (moves && NARROW.matches) {
    byId("detail").focus({ preventScroll: true });
    byId("detail").scrollIntoView({ behavior: CALM.matches ? "auto" : "smooth", block: "start" });
  }
}

/** `#job=<id>` shows that job: addresses can be kept and sent, and the back button works. */
async function fromAddress() {
  const id = new URLSearchParams(location.hash.slice(1)).get("job");
  if (!id || store.get(store.selected)?.id === id) return;
  let item = store.ofJob(id);
  if (!item) {
    try {
      item = store.learn(await getJob(id, 0));
    } catch (error) {
      item = store.add({ id, name: id, size: 0, state: "gone", error: { title: error.title, detail: error.detail }, mine: false });
    }
  }
  store.select(item);
}

function keepAddress() {
  const item = store.get(store.selected);
  const hash = item?.id ? `#job=${encodeURIComponent(item.id)}` : "";
  if (hash === location.hash) return;
  if (location.hash && item && hash) history.pushState(null, "", hash);
  else history.replaceState(null, "", hash || location.pathname);
}

showList();
showDetail();
showHealth();
store.addEventListener("select", keepAddress);
store.addEventListener("change", (event) => event.detail.some((item) => item.key === store.selected) && keepAddress());
byId("list").addEventListener("click", (event) => {
  const row = event.target.closest(".row-select")?.closest(".row");
  if (row) choose(store.get(row.dataset.key), { moves: true });
});
window.addEventListener("hashchange", fromAddress);
window.addEventListener("popstate", fromAddress);
window.addEventListener("beforeunload", (event) => unsent() > 0 && event.preventDefault());
intake((files) => {
  const items = add(files);
  if (items.length) choose(items[0], { moves: false });
});
pulse.start();
recent().then(fromAddress);

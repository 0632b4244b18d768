/** How pictures come in: chosen, dropped anywhere, pasted, or taken with a phone's camera. */

import { byId } from "./dom.js";

export function intake(add) {
  document.documentElement.dataset.touch = String(navigator.maxTouchPoints > 0);
  choosing("choose-button", "choose-input", add);
  choosing("camera-button", "camera-input", add);
  dropping(add);
  document.addEventListener("paste", (event) => {
    const files = named([...(event.clipboardData?.files ?? [])]);
    if (files.length === 0) return;
    event.preventDefault();
    add(files);
  });
}

function choosing(buttonId, inputId, add) {
  const input = byId(inputId);
  byId(buttonId).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same picture can be chosen again
    if (files.length) add(files);
  });
}

function dropping(add) {
  const veil = byId("drop-veil");
  let depth = 0;
  const ours = (event) => event.dataTransfer?.types.includes("Files");
  const show = (on) => {
    veil.hidden = !on;
    if (!on) depth = 0;
  };
  window.addEventListener("dragenter", (event) => {
    if (!ours(event)) return;
    event.preventDefault();
    depth += 1;
    show(true);
  });
  window.addEventListener("dragleave", (event) => {
    if (!ours(event)) return;
    depth -= 1;
    if (depth <= 0) show(false);
  });
  window.addEventListener("dragover", (event) => {
    if (!ours(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  window.addEventListener("drop", (event) => {
    if (!ours(event)) return;
    event.preventDefault();
    show(false);
    add([...event.dataTransfer.files]);
  });
}

/** Pasted pictures are all called "image.png": tell them apart by the time. */
function named(files) {
  const stamp = new Date().toTimeString().slice(0, 8).replaceAll(":", "");
  return files.map((file, index) => {
    if (file.name && !/^image\.\w+$/.test(file.name)) return file;
    const ending = (file.type.split("/")[1] ?? "img").replace("jpeg", "jpg").replace(/\W.*/, "");
    return new File([file], `pasted-${stamp}${files.length > 1 ? `-${index + 1}` : ""}.${ending}`, { type: file.type });
  });
}

/** Before and after, with a divider that is moved by slider, mouse or finger. */

import { text } from "./texts.js";

const $ = (id) => document.getElementById(id);
let urls = [];

export function listenToCompare() {
  const frame = $("compare");
  $("slider").addEventListener("input", (event) => slide(Number(event.target.value)));
  frame.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    frame.setPointerCapture(event.pointerId);
    slideTo(event);
  });
  frame.addEventListener("pointermove", (event) => frame.hasPointerCapture(event.pointerId) && slideTo(event));
}

/** `before`: a File; `picture`: what the service made of it. */
export function show(before, picture) {
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [before, picture.blob].map((blob) => URL.createObjectURL(blob));
  [$("before").src, $("after").src] = urls;
  $("download").href = urls[1];
  $("download").download = `clean.${picture.mediaType.split("/")[1]}`;
  $("facts").textContent = [picture.model, picture.hdStrategy, picture.notes].filter(Boolean).join(" · ");
  $("result").hidden = false;
  $("status").textContent = text("done", { model: picture.model, seconds: picture.processingTimeS });
  slide(50);
  $("result-title").focus();
}

function slide(percent) {
  $("slider").value = percent;
  $("compare").style.setProperty("--at", `${percent}%`);
}

function slideTo(event) {
  const frame = $("compare").getBoundingClientRect();
  slide(Math.min(100, Math.max(0, ((event.clientX - frame.left) / frame.width) * 100)));
}

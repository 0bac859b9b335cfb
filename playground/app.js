/** The page: a picture and regions go in, a cleaned picture comes out, now or as a task. */

import { Client, TaskCancelled } from "./client/index.js";
import { program } from "./code.js";
import { Editor } from "./editor.js";
import { sampleImage } from "./sample.js";
import { asMask, asRegions, box } from "./shapes.js";
import { TasksView, stateName } from "./tasks.js";
import { currentLanguage, speak, text } from "./texts.js";

const $ = (id) => document.getElementById(id);
// Wherever the service is mounted, this page is one folder below it.
const BASE = new URL("..", location.href).href;
const KEY = "iopaint-api-key";

const editor = new Editor($("canvas"));
let client = new Client(BASE);
let file = null;
let info = null;
let running = null;
let urls = [];

const tasks = new TasksView({
  body: $("tasks"),
  empty: $("no-tasks"),
  figures: $("figures"),
  onCancel: (id) => client.task(id).cancel().catch(showError),
});

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
const say = (sentence) => ($("status").textContent = sentence);
const showError = (error) => ($("error").textContent = error.message);

// --- the service

async function connect() {
  const apiKey = $("key").value;
  sessionStorage.setItem(KEY, apiKey);
  client = new Client(BASE, { apiKey });
  tasks.follow(client);
  await describeService();
}

async function describeService() {
  try {
    info = await client.info();
    const health = await client.health();
    const notes = health.degraded?.length ? health.degraded.join(" ") : "";
    $("health").textContent = `${text("healthy", { name: info.model.name })} ${notes}`;
    if (health.status !== "healthy") $("health").textContent = health.message;
  } catch (error) {
    info = null;
    $("health").textContent = `${text("unreachable")}: ${error.message}`;
  }
  fillModels();
}

function fillModels() {
  const select = $("model");
  const before = select.value;
  const first = new Option(text("defaultModel", { name: info?.model.name ?? "?" }), "");
  select.replaceChildren(first, ...(info?.models ?? []).map((name) => new Option(name, name)));
  select.value = before;
}

// --- the picture

async function open(blob, name) {
  $("error").textContent = "";
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob); // upright, as the service sees it
  } catch {
    $("error").textContent = text("notAnImage");
    return;
  }
  file = new File([blob], name, { type: blob.type });
  $("editor").hidden = false;
  $("result").hidden = true;
  editor.open(bitmap);
}

function setTool(tool) {
  editor.cancelDraft();
  editor.tool = tool;
  $("brush-field").hidden = tool !== "brush";
}

function drawingChanged() {
  $("run").disabled = editor.shapes.length === 0 || running !== null;
  $("finish").hidden = !(editor.hasDraft && editor.tool === "polygon");
  $("regions").replaceChildren(...editor.shapes.map(regionItem));
  showCode();
}

function regionItem(shape, index) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  const { x, y, width, height } = shape.kind === "rect" ? box(shape.points) : {};
  const where = shape.kind === "rect" ? `${x}, ${y}, ${width} × ${height}` : String(shape.points.length);
  item.textContent = `${index + 1}. ${text(shape.kind)} ${where} `;
  Object.assign(button, { type: "button", textContent: "✕", ariaLabel: text("removeRegion", { number: index + 1 }) });
  button.addEventListener("click", () => {
    editor.remove(index);
    $("canvas").focus();
  });
  item.append(button);
  return item;
}

// --- running

function options() {
  const fields = Object.fromEntries(new FormData($("options")));
  const made = { output_format: fields.output_format, hd_strategy: fields.hd_strategy };
  if (fields.output_format !== "png") made.quality = Number(fields.quality);
  if (fields.model) made.model = fields.model;
  return made;
}

async function run() {
  running = new AbortController();
  const { signal } = running;
  setRunning(true);
  const before = file;
  try {
    const picture = await (chosen("mode") === "task" ? asTask(signal) : now(signal));
    show(before, picture);
  } catch (error) {
    if (error instanceof TaskCancelled || error.name === "AbortError") say(text("cancelled"));
    else {
      say("");
      showError(error);
    }
  } finally {
    running = null;
    setRunning(false);
  }
}

function setRunning(on) {
  $("run").disabled = on || editor.shapes.length === 0;
  $("cancel").hidden = !on;
  $("progress").hidden = !on;
  $("progress").removeAttribute("value");
  if (on) {
    $("error").textContent = "";
    say(text("working"));
  }
}

async function now(signal) {
  const regions = asRegions(editor.shapes);
  if (regions) return client.removeText(file, regions, { ...options(), signal });
  return client.inpaint(file, await drawnMask(), { ...options(), signal });
}

async function asTask(signal) {
  say(text("sending"));
  const task = await submit(signal);
  // Giving up is told to the service at once; the end is then heard as any other.
  signal.addEventListener("abort", () => task.cancel().catch(showError), { once: true });
  return task.result({ onUpdate: showUpdate });
}

/** A mask travels as a batch of one: the call for a single task takes regions only. */
async function submit(signal) {
  const regions = asRegions(editor.shapes);
  if (regions) return client.submit(file, regions, { ...options(), signal });
  const batch = await client.submitBatch([{ image: file, mask: await drawnMask() }], { ...options(), signal });
  return client.task((await batch.status()).tasks[0].task_id);
}

function drawnMask() {
  return asMask(editor.shapes, $("canvas").width, $("canvas").height);
}

function showUpdate(update) {
  $("progress").value = update.progress;
  const waiting = update.status === "pending" && update.queuePosition !== null;
  const status = waiting ? text("queued", { number: update.queuePosition }) : stateName(update.status);
  say(text("taskProgress", { status, progress: Math.round(update.progress) }));
}

function show(before, picture) {
  urls.forEach((url) => URL.revokeObjectURL(url));
  urls = [before, picture.blob].map((blob) => URL.createObjectURL(blob));
  [$("before").src, $("after").src] = urls;
  $("download").href = urls[1];
  $("download").download = `clean.${picture.mediaType.split("/")[1]}`;
  $("facts").textContent = [picture.model, picture.hdStrategy, picture.notes].filter(Boolean).join(" · ");
  $("result").hidden = false;
  say(text("done", { model: picture.model, seconds: picture.processingTimeS }));
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

// --- the same request

async function showCode() {
  const regions = asRegions(editor.shapes);
  const request = {
    base: BASE, fileName: file?.name ?? "photo.jpg", regions, options: options(),
    asTask: chosen("mode") === "task", withKey: $("key").value !== "",
  };
  const tab = document.querySelector('[role="tab"][aria-selected="true"]');
  $("code").textContent = program(tab.dataset.language, request);
  $("mask").hidden = regions !== null;
  if (regions === null) {
    URL.revokeObjectURL($("mask").href);
    $("mask").href = URL.createObjectURL(await drawnMask());
  }
}

function selectTab(tab) {
  for (const one of $("tabs").children) {
    one.ariaSelected = String(one === tab);
    one.tabIndex = one === tab ? 0 : -1;
  }
  $("code").setAttribute("aria-labelledby", tab.id);
  tab.focus();
  showCode();
}

function tabKey(event) {
  const all = [...$("tabs").children];
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step) selectTab(all[(all.indexOf(document.activeElement) + step + all.length) % all.length]);
}

async function copy() {
  // The clipboard exists on https and localhost only; elsewhere the text is selected for the reader.
  getSelection().selectAllChildren($("code"));
  if (navigator.clipboard) {
    await navigator.clipboard.writeText($("code").textContent);
    say(text("copied"));
  }
}

// --- the page

function setLanguage(language) {
  speak(language);
  $("language").value = currentLanguage();
  drawingChanged();
  tasks.redraw();
  describeService();
}

function listen() {
  const on = (id, type, handler) => $(id).addEventListener(type, handler);
  on("file", "change", (event) => event.target.files[0] && open(event.target.files[0], event.target.files[0].name));
  on("sample", "click", async () => open(await sampleImage(), "sample.png"));
  on("drop", "dragleave", () => $("drop").classList.remove("over"));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    $("drop").classList.remove("over");
    const [dropped] = event.dataTransfer.files;
    if (dropped) open(dropped, dropped.name);
  });
  document.addEventListener("paste", (event) => {
    const [pasted] = event.clipboardData.files;
    if (pasted) open(pasted, pasted.name);
  });
  on("tools", "change", (event) => setTool(event.target.value));
  on("brush-size", "input", (event) => (editor.brushSize = Number(event.target.value)));
  on("finish", "click", () => editor.finish());
  on("undo", "click", () => editor.undo());
  on("clear", "click", () => editor.clear());
  on("numbers", "submit", (event) => {
    event.preventDefault();
    const { x, y, width, height } = Object.fromEntries([...new FormData(event.target)].map(([k, v]) => [k, Number(v)]));
    editor.add({ kind: "rect", points: [[x, y], [x + width, y + height]] });
  });
  editor.addEventListener("change", drawingChanged);
  editor.addEventListener("say", (event) => say(text(event.detail.name, event.detail.values)));
  on("options", "change", showCode);
  on("options", "submit", (event) => event.preventDefault());
  on("mode", "change", showCode);
  on("key", "change", connect);
  on("run", "click", run);
  on("cancel", "click", () => running?.abort());
  on("slider", "input", (event) => slide(Number(event.target.value)));
  on("compare", "pointerdown", (event) => {
    event.preventDefault();
    $("compare").setPointerCapture(event.pointerId);
    slideTo(event);
  });
  on("compare", "pointermove", (event) => $("compare").hasPointerCapture(event.pointerId) && slideTo(event));
  on("tabs", "click", (event) => event.target.role === "tab" && selectTab(event.target));
  on("tabs", "keydown", tabKey);
  on("copy", "click", () => copy().catch(showError));
  on("language", "change", (event) => setLanguage(event.target.value));
  on("theme", "change", (event) => (document.documentElement.dataset.theme = event.target.value));
  addEventListener("resize", () => editor.redraw());
}

listen();
$("key").value = sessionStorage.getItem(KEY) ?? "";
setLanguage(currentLanguage());
connect();

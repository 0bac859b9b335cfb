/** The page: a picture and regions go in, a cleaned picture comes out, now or as a task. */

import { Client, TaskCancelled, Unauthorized } from "./client/index.js";
import { listenToCompare, show } from "./compare.js";
import { Editor, readPicture } from "./editor.js";
import { copyCode, downloadMask, hasSteps, listenToTabs, showCode, start, takesPrompt } from "./request.js";
import { sampleImage } from "./sample.js";
import { box } from "./shapes.js";
import { TasksView, stateName } from "./tasks.js";
import { currentLanguage, speak, text } from "./texts.js";

const $ = (id) => document.getElementById(id);
// Wherever the service is mounted, this page is one folder below it.
const BASE = new URL("..", location.href).href;
const KEY = "iopaint-api-key";
const FORBIDDEN = 403;
const WATCH_S = 10;

const editor = new Editor($("canvas"));
let client = new Client(BASE);
/** For what is asked again anyway: it fails at once. */
let watcher = client;
let file = null;
let info = null;
let running = null;
/** How often a picture was opened and the service's state asked for: only the newest counts. */
let opened = 0;
let asked = 0;

const tasks = new TasksView({
  body: $("tasks"),
  empty: $("no-tasks"),
  figures: $("figures"),
  onCancel: (id) => client.task(id).cancel().catch(showError),
  onAsked: (came) => (came && $("health").dataset.state === "good") || describeService(),
  onRefused: (error) => error.status === FORBIDDEN && showError(error),
});

const say = (sentence) => ($("status").textContent = sentence);
const lacksKey = (error) => error instanceof Unauthorized && error.status !== FORBIDDEN;
const inWords = (error) => (lacksKey(error) ? text($("key").value ? "keyWrong" : "keyNeeded") : error.message);
const showError = (error) => ($("error").textContent = inWords(error));
const code = () => showCode(BASE, file, editor);

// --- the service

async function connect() {
  const typed = $("key").value;
  sessionStorage.setItem(KEY, typed);
  const apiKey = /^[\x20-\x7e]*$/.test(typed) ? typed : ""; // another cannot be sent: as wrong as an unknown one
  client = new Client(BASE, { apiKey });
  watcher = new Client(BASE, { apiKey, timeoutS: WATCH_S, retries: { attempts: 1 } });
  tasks.follow(watcher);
  await describeService();
}

async function describeService() {
  const mine = ++asked;
  let state = "bad";
  let sentence;
  let needsKey = false;
  let known = info;
  try {
    const health = await watcher.health();
    if (health.status !== "healthy") sentence = health.message;
    known = await watcher.info();
    if (health.status === "healthy") {
      state = "good";
      sentence = `${text("healthy", { name: known.model.name })} ${(health.degraded ?? []).join(" ")}`;
    }
  } catch (error) {
    needsKey = lacksKey(error);
    if (needsKey) sentence = inWords(error);
    sentence ??= `${text("unreachable")}: ${error.message}`;
  }
  if (mine !== asked) return;
  $("key-field").classList.toggle("needed", needsKey);
  $("health").dataset.state = state;
  if ($("health").textContent !== sentence) $("health").textContent = sentence; // the same again would be read out again
  if (JSON.stringify(known) === JSON.stringify(info)) return;
  info = known;
  fillModels();
}

function fillModels() {
  const select = $("model");
  const before = select.value;
  const first = new Option(text("defaultModel", { name: info?.model.name ?? "?" }), "");
  select.replaceChildren(first, ...(info?.models ?? []).map((name) => new Option(name, name)));
  select.value = before;
  if (select.selectedIndex < 0) select.value = "";
}

// --- the picture

async function open(blob, name) {
  const mine = ++opened;
  $("error").textContent = "";
  let picture = null;
  try {
    picture = await readPicture(blob);
  } catch {
    if (mine === opened) $("error").textContent = text("notAnImage");
  }
  if (picture === null || mine !== opened) return;
  file = new File([blob], name, { type: blob.type });
  $("editor").hidden = false;
  $("result").hidden = true;
  say("");
  editor.open(picture);
}

function setTool(tool) {
  editor.cancelDraft();
  editor.tool = tool;
  $("brush-field").hidden = tool !== "brush";
}

function drawingChanged() {
  const none = editor.shapes.length === 0;
  $("run").textContent = text(none ? "runText" : "run");
  $("run").disabled = file === null || running !== null;
  $("no-regions").hidden = !none;
  $("finish").hidden = !(editor.hasDraft && editor.tool === "polygon");
  $("regions").replaceChildren(...editor.shapes.map(regionItem));
  code();
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

async function find() {
  $("find").disabled = true;
  $("error").textContent = "";
  say(text("finding"));
  const looked = file;
  try {
    const lines = await client.detectText(looked);
    if (file === looked) editor.addFound(lines);
  } catch (error) {
    if (file !== looked) return;
    say("");
    showError(error);
  } finally {
    $("find").disabled = false;
  }
}

async function run() {
  const before = file;
  try {
    running = start(client, file, editor, showUpdate);
    setRunning(true);
    show(before, await running.picture);
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

function cancel() {
  $("error").textContent = "";
  say(text("cancelling"));
  running?.cancel().catch(showError); // and may be tried again
}

function setRunning(on) {
  $("run").disabled = on;
  $("cancel").hidden = !on;
  $("progress").hidden = !on;
  $("progress").removeAttribute("value");
  if (on) {
    $("error").textContent = "";
    say(text("working"));
  }
}

/** The bar moves with each update; what a screen reader reads out changes with each ten percent. */
function showUpdate(update) {
  $("progress").value = update.progress;
  const waiting = update.status === "pending" && update.queuePosition !== null;
  const status = waiting ? text("queued", { number: update.queuePosition }) : stateName(update.status);
  const sentence = text("taskProgress", { status, progress: 10 * Math.floor(update.progress / 10) });
  if (sentence !== $("status").textContent) say(sentence);
}

function optionsChanged() {
  const { model, output_format } = Object.fromEntries(new FormData($("options")));
  $("steps-field").hidden = !hasSteps(model);
  $("prompt-fields").hidden = !takesPrompt(model);
  $("quality-field").hidden = output_format === "png";
  code();
}

// --- the page

function setLanguage(language) {
  speak(language);
  $("language").value = currentLanguage();
  drawingChanged();
  fillModels();
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
  on("options", "input", optionsChanged);
  on("options", "submit", (event) => event.preventDefault());
  on("mode", "change", code);
  on("key", "change", connect);
  on("run", "click", run);
  on("cancel", "click", cancel);
  on("find", "click", find);
  on("copy", "click", () => copyCode().then((copied) => copied && say(text("copied")), showError));
  on("mask", "click", () => downloadMask(editor));
  listenToCompare();
  listenToTabs(code);
  on("language", "change", (event) => setLanguage(event.target.value));
  on("theme", "change", (event) => (document.documentElement.dataset.theme = event.target.value));
  addEventListener("resize", () => editor.redraw());
}

listen();
$("key").value = sessionStorage.getItem(KEY) ?? "";
setLanguage(currentLanguage());
connect();

/** The picture that is drawn on: by mouse, finger, pen or keyboard. Fires `change` and `say` (with a text's name). */

import { isWhole, trace } from "./shapes.js";

const MOST_SHOWN = 2048;

/** What is shown of a large picture is a smaller copy: drawing has to keep up with a finger. Throws when it is none. */
export async function readPicture(blob) {
  const image = await createImageBitmap(blob); // upright, as the service sees it
  const { width, height } = image;
  const shown = Math.min(1, MOST_SHOWN / Math.max(width, height));
  if (shown === 1) return { image, width, height, shown };
  const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.max(1, Math.round(side * shown)));
  const copy = await createImageBitmap(image, { resizeWidth, resizeHeight, resizeQuality: "high" });
  image.close();
  return { image: copy, width, height, shown };
}

export class Editor extends EventTarget {
  #canvas;
  #context;
  #image = null;
  #draft = null;
  #pointer = null;
  /** Pixels of the canvas for each of the image, and whether a drawing is due. */
  #shown = 1;
  #due = false;
  shapes = [];
  width = 0;
  height = 0;
  tool = "rect";
  brushSize = 24;

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", () => this.#up());
    canvas.addEventListener("pointercancel", () => this.cancelDraft());
    canvas.addEventListener("dblclick", () => this.finish());
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.#showPointer(null));
  }

  get hasDraft() {
    return this.#draft !== null;
  }

  open({ image, width, height, shown }) {
    this.#image = image;
    this.#shown = shown;
    Object.assign(this.#canvas, { width: image.width, height: image.height });
    Object.assign(this, { width, height });
    this.#pointer = null;
    this.clear();
  }

  clear() {
    this.#draft = null;
    this.shapes = [];
    this.#changed();
  }

  undo() {
    if (this.#draft) this.cancelDraft();
    else if (this.shapes.pop()) this.#say("regionRemoved");
    this.#changed();
  }

  remove(index) {
    this.shapes.splice(index, 1);
    this.#say("regionRemoved");
    this.#changed();
  }

  add(shape) {
    this.shapes.push(shape);
    this.#say("regionAdded", { number: this.shapes.length });
    this.#changed();
  }

  /** Lines of text, as the service found them. */
  addFound(lines) {
    this.shapes.push(...lines.map(({ points }) => ({ kind: "polygon", points })));
    this.#say(lines.length > 0 ? "found" : "nothingFound", { count: lines.length });
    this.#changed();
  }

  cancelDraft() {
    this.#draft = null;
    this.#changed();
  }

  /** Close the polygon, or end whatever is being drawn. */
  finish() {
    const draft = this.#draft;
    this.#draft = null;
    if (!draft) return;
    const points = draft.points.map(([x, y]) => [Math.round(x), Math.round(y)]);
    // A double click sets the same corner twice.
    const distinct = points.filter(([x, y], at) => at === 0 || x !== points[at - 1][0] || y !== points[at - 1][1]);
    const shape = { kind: draft.kind, size: draft.size, points: distinct };
    if (isWhole(shape)) this.add(shape);
    else this.#changed();
  }

  /** Once before the next frame, however often it is asked for. */
  redraw() {
    if (this.#due || !this.#image) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#draw();
    });
  }

  #draw() {
    const context = this.#context;
    const scale = this.#scale();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.#image, 0, 0);
    context.scale(this.#shown, this.#shown);
    context.lineWidth = 2 * scale;
    for (const shape of [...this.shapes, ...(this.#draft ? [this.#draft] : [])]) {
      context.fillStyle = context.strokeStyle = "rgba(226, 40, 84, 0.38)";
      trace(context, shape, shape !== this.#draft || shape.kind === "rect");
      context.strokeStyle = "rgb(226, 40, 84)";
      if (shape.kind !== "brush") trace(context, shape, false);
    }
    if (this.#pointer) this.#drawPointer(scale);
  }

  #drawPointer(scale) {
    const [x, y] = this.#pointer;
    for (const [colour, width] of [["white", 4], ["black", 1.5]]) {
      this.#context.strokeStyle = colour;
      this.#context.lineWidth = width * scale;
      this.#context.beginPath();
      for (const [dx, dy] of [[12, 0], [0, 12]]) {
        this.#context.moveTo(x - dx * scale, y - dy * scale);
        this.#context.lineTo(x + dx * scale, y + dy * scale);
      }
      this.#context.stroke();
    }
  }

  /** Image pixels for each pixel of the page. */
  #scale() {
    return this.width / Math.max(1, this.#canvas.clientWidth);
  }

  #at(event) {
    const frame = this.#canvas.getBoundingClientRect();
    const clamp = (value, most) => Math.min(Math.max(value, 0), most);
    return [
      clamp(((event.clientX - frame.left) / frame.width) * this.width, this.width),
      clamp(((event.clientY - frame.top) / frame.height) * this.height, this.height),
    ];
  }

  #start(at) {
    this.#draft = { kind: this.tool, size: this.brushSize, points: this.tool === "rect" ? [at, at] : [at] };
  }

  #down(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    const at = this.#at(event);
    if (this.tool === "polygon" && this.#draft) this.#draft.points.push(at);
    else this.#start(at);
    this.#changed();
  }

  #move(event) {
    if (!this.#draft || this.tool === "polygon" || !this.#canvas.hasPointerCapture(event.pointerId)) return;
    this.#extend(this.#at(event));
  }

  #extend(at) {
    if (this.#draft.kind === "rect") this.#draft.points[1] = at;
    else this.#draft.points.push(at);
    this.redraw();
  }

  #up() {
    if (this.tool !== "polygon") this.finish();
  }

  #key(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const actions = {
      " ": () => this.#set(),
      Enter: () => this.finish(),
      Escape: () => this.cancelDraft(),
      Backspace: () => this.undo(),
      Delete: () => this.undo(),
    };
    const undo = event.key === "z" && (event.ctrlKey || event.metaKey);
    if (arrows[event.key]) this.#step(arrows[event.key], event.shiftKey ? 20 : 2);
    else if (undo) this.undo();
    else if (actions[event.key]) actions[event.key]();
    else return;
    event.preventDefault();
  }

  #step([dx, dy], pixels) {
    const reach = pixels * Math.max(1, this.#scale());
    const [x, y] = this.#pointer ?? [this.width / 2, this.height / 2];
    const within = (value, most) => Math.round(Math.min(Math.max(value, 0), most));
    this.#showPointer([within(x + dx * reach, this.width), within(y + dy * reach, this.height)]);
    if (this.#draft && this.#draft.kind !== "polygon") this.#extend(this.#pointer);
    this.#say("pointer", { x: this.#pointer[0], y: this.#pointer[1] });
  }

  /** A corner; the second of a rectangle, and the second press of the brush, end it. */
  #set() {
    const at = this.#pointer ?? [this.width / 2, this.height / 2].map(Math.round);
    this.#showPointer(at);
    if (this.#draft && this.#draft.kind !== "polygon") {
      this.finish();
      return;
    }
    if (this.#draft) this.#draft.points.push(at);
    else this.#start(at);
    this.#say("corner", { x: at[0], y: at[1] });
    this.#changed();
  }

  #showPointer(at) {
    this.#pointer = at;
    this.redraw();
  }

  #changed() {
    this.redraw();
    this.dispatchEvent(new Event("change"));
  }

  #say(name, values = {}) {
    this.dispatchEvent(new CustomEvent("say", { detail: { name, values } }));
  }
}

/** The request that the page stands for: how it is sent, and how it is shown as a program. */

import { Conflict, NotFound } from "./client/index.js";
import { newId } from "./client/ids.js";
import { program } from "./code.js";
import { asMask, asRegions } from "./shapes.js";

const $ = (id) => document.getElementById(id);
const UNSURE_TRIES = 4;
const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

/** Stable Diffusion models are named as on Hugging Face: owner/name. */
export const takesPrompt = (model) => model.includes("/");
export const hasSteps = (model) => model === "ldm" || takesPrompt(model);

/** What differs from the service's own defaults. */
function options(regions) {
  const form = Object.fromEntries(new FormData($("options")));
  const { model, mask_mode, output, output_format, quality, hd_strategy } = form;
  const made = {};
  if (model) made.model = model;
  if (hasSteps(model)) made.sd_steps = Number(form.sd_steps);
  for (const name of ["prompt", "negative_prompt"]) if (takesPrompt(model) && form[name]) made[name] = form[name];
  // A mask says itself what goes; without regions `auto` is the service's default.
  if (regions !== null && !(regions.length === 0 && mask_mode === "auto")) made.mask_mode = mask_mode;
  if (output !== "image") made.output = output;
  if (output_format !== "png") Object.assign(made, { output_format, quality: Number(quality) });
  if (hd_strategy !== "Auto") made.hd_strategy = hd_strategy;
  return made;
}

export function current(editor) {
  const regions = asRegions(editor.shapes);
  return { regions, options: options(regions), asTask: chosen("mode") === "task" };
}

export const drawnMask = (editor) => asMask(editor.shapes, editor.width, editor.height);

/** What the page asks for, under way: `picture` comes, or rejects once `cancel()` is done; that may be tried again. */
export function start(client, file, editor, onUpdate) {
  const { regions, options: given, asTask } = current(editor);
  const listed = regions?.length > 0 ? regions : undefined;
  if (asTask) return new TaskRun(client, { file, editor, regions, listed, given, onUpdate });
  const controller = new AbortController();
  const { signal } = controller;
  const picture = regions === null
    ? drawnMask(editor).then((mask) => client.inpaint(file, mask, { ...given, signal }))
    : client.removeText(file, listed, { ...given, signal });
  return { picture, cancel: async () => controller.abort() };
}

/**
 * Under an id that is chosen here: so it can be cancelled while its answer is on its way, too. Until the service has
 * taken the cancel, it is not cancelled.
 */
class TaskRun {
  #id = newId();
  #upload = new AbortController();
  #accepted = false;
  #task;
  #tellCancelled;
  #cancelled = new Promise((resolve) => (this.#tellCancelled = resolve));

  constructor(client, request) {
    // A mask travels as a batch of one: the call for a single task takes regions only.
    this.#task = client.task(request.regions === null ? `${this.#id}.0` : this.#id);
    this.picture = this.#run(client, request);
  }

  async #run(client, { file, editor, regions, listed, given, onUpdate }) {
    const { signal } = this.#upload;
    try {
      if (regions === null) {
        const items = [{ image: file, mask: await drawnMask(editor) }];
        await client.submitBatch(items, { ...given, batchId: this.#id, signal });
      } else {
        await client.submit(file, listed, { ...given, taskId: this.#id, signal });
      }
    } catch (error) {
      if (signal.aborted) await this.#cancelled;
      throw error;
    }
    this.#accepted = true;
    return this.#task.result({ onUpdate });
  }

  async cancel() {
    this.#upload.abort();
    // What was sent as a whole may be accepted a moment later.
    for (let tries = this.#accepted ? 1 : UNSURE_TRIES; tries > 0; tries -= 1) {
      try {
        await this.#task.cancel();
        break;
      } catch (error) {
        if (error instanceof Conflict) break; // it has ended
        if (!(error instanceof NotFound)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    this.#tellCancelled();
  }
}

/** As a program, in the language of the chosen tab. */
export function showCode(base, file, editor) {
  const request = { ...current(editor), base, fileName: file?.name ?? "photo.jpg", withKey: $("key").value !== "" };
  const tab = document.querySelector('[role="tab"][aria-selected="true"]');
  $("code").textContent = program(tab.dataset.language, request);
  $("mask").hidden = request.regions !== null;
}

export function listenToTabs(onSelect) {
  const tabs = [...$("tabs").children];
  const select = (tab) => {
    for (const one of tabs) {
      one.ariaSelected = String(one === tab);
      one.tabIndex = one === tab ? 0 : -1;
    }
    $("code").setAttribute("aria-labelledby", tab.id);
    tab.focus();
    onSelect();
  };
  $("tabs").addEventListener("click", (event) => event.target.role === "tab" && select(event.target));
  $("tabs").addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (step) select(tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length]);
  });
}

/** True when it is in the clipboard; that exists on https and localhost only, elsewhere the text is selected. */
export async function copyCode() {
  getSelection().selectAllChildren($("code"));
  await navigator.clipboard?.writeText($("code").textContent);
  return Boolean(navigator.clipboard);
}

export async function downloadMask(editor) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await drawnMask(editor));
  link.download = "mask.png";
  link.click();
  URL.revokeObjectURL(link.href);
}

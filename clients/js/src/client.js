/** The calls. Each may be repeated: a task or batch is submitted under an id made here, which is accepted once. */

import { json, picture, zip } from "./answers.js";
import { TaskCancelled, TaskFailed, TimedOut } from "./errors.js";
import { checked, newId } from "./ids.js";
import { blobOf } from "./pictures.js";
import { limited, sleep, worthRepeating } from "./retries.js";
import { Story } from "./story.js";
import { Transport } from "./transport.js";

/** A rectangle `{x, y, width, height}`, `[x, y, width, height]`, or a polygon `{points: [[x, y], ...]}`. */
function region(given) {
  if (!Array.isArray(given)) return given;
  const [x, y, width, height] = given;
  return { x, y, width, height };
}

async function form(files, fields) {
  const made = new FormData();
  for (const [name, image] of Object.entries(files)) made.set(name, await blobOf(image), image.name ?? name);
  for (const [name, value] of Object.entries(fields)) if (value != null) made.set(name, String(value));
  return made;
}

const areas = (given) => given && JSON.stringify(given.map(region));
const TEXT = ["min_score", "min_height_px", "include", "exclude"];

/** Options as form fields. Without regions the service finds the text itself; what would be ignored is refused. */
function work(options, regions) {
  const unused = regions ? TEXT.filter((name) => name in options) : [];
  if (unused.length > 0) throw new TypeError(`${unused.join(", ")}: only for calls without regions, which find the text`);
  return { ...options, include: areas(options.include), exclude: areas(options.exclude), regions: areas(regions) };
}

const READY_S = 0.5;

/** One service. `options`: apiKey, timeoutS, retries, fetch, WebSocket. */
export class Client {
  #transport;

  constructor(baseUrl = "http://localhost:8081", options = {}) {
    this.#transport = new Transport(baseUrl, options);
  }

  /** Also when it is starting or unhealthy. */
  health({ signal } = {}) {
    return this.#health(signal, true);
  }

  #health(signal, repeatable) {
    return this.#transport.send({ path: "api/v1/health", alsoOk: [503], repeatable }, json("status"), signal);
  }

  /** Until it is healthy: nobody who answers is a reason to wait, too. Throws TimedOut. */
  async waitReady(timeoutS = 60, { signal } = {}) {
    const { limit, either } = limited(timeoutS, signal);
    let why = "it did not answer";
    let cause;
    try {
      for (;;) {
        try {
          const health = await this.#health(either, false);
          if (health.status === "healthy") return health;
          why = `${health.status}: ${health.message}`;
        } catch (error) {
          if (!worthRepeating(error) && !(error instanceof TimedOut)) throw error;
          [why, cause] = [error.message, error];
        }
        await sleep(READY_S, either);
      }
    } catch (error) {
      if (error === limit.reason) throw new TimedOut(`The service is not healthy after ${timeoutS} s: ${why}`, { cause });
      throw error;
    }
  }

  info({ signal } = {}) {
    return this.#transport.send({ path: "api/v1/info" }, json("models"), signal);
  }

  queue({ signal } = {}) {
    return this.#transport.send({ path: "api/v1/tasks" }, json("total_tasks"), signal);
  }

  /** The picture without what the regions hold; without regions, without the text that the service finds. */
  async removeText(image, regions, { signal, ...options } = {}) {
    const path = regions ? "api/v1/inpaint-regions" : "api/v1/remove-text";
    const body = await form({ image }, work(options, regions));
    return this.#transport.send({ method: "POST", path, body }, picture, signal);
  }

  /** The lines of text in a picture. */
  async detectText(image, { signal, ...options } = {}) {
    const call = { method: "POST", path: "api/v1/detect-text", body: await form({ image }, work(options)) };
    return (await this.#transport.send(call, json("lines"), signal)).lines;
  }

  /** The picture without what the mask marks white. */
  async inpaint(image, mask, { signal, ...options } = {}) {
    const body = await form({ image, mask }, options);
    return this.#transport.send({ method: "POST", path: "api/v1/inpaint", body }, picture, signal);
  }

  /** The work is done, the figures come back, the picture does not. */
  async measure(image, regions, { signal, ...options } = {}) {
    const body = await form({ image }, work(options, regions));
    const call = { method: "POST", path: "api/v1/inpaint-regions-json", body };
    return (await this.#transport.send(call, json("processing_stats"), signal)).processing_stats;
  }

  /** Accepted when this resolves: the task ends, whatever dies. */
  async submit(image, regions, { taskId = newId(), callbackUrl, priority, signal, ...options } = {}) {
    const task = this.task(taskId);
    const fields = { ...work(options, regions), task_id: taskId, callback_url: callbackUrl, priority };
    const body = await form({ image }, fields);
    const path = regions ? "api/v1/inpaint-regions-async" : "api/v1/remove-text-async";
    await this.#transport.send({ method: "POST", path, body }, json("task_id"), signal);
    return task;
  }

  /** One submitted before; nothing is asked yet. */
  task(taskId) {
    return new Task(this.#transport, taskId);
  }

  /** `items`: `{image, regions}` or `{image, mask}`, each with options of its own. All are accepted, or none. */
  async submitBatch(items, { batchId = newId(), callbackUrl, priority = 0, signal, ...options } = {}) {
    const batch = this.batch(batchId);
    const files = {};
    const told = items.map(({ image, mask, regions, ...own }, number) => {
      files[`image_${number}`] = image;
      if (mask) files[`mask_${number}`] = mask;
      return { ...options, ...own, regions: regions?.map(region) };
    });
    const fields = { batch_id: batchId, priority, callback_url: callbackUrl, items: JSON.stringify(told) };
    const call = { method: "POST", path: "api/v1/inpaint-batch", body: await form(files, fields) };
    await this.#transport.send(call, json("batch_id"), signal);
    return batch;
  }

  batch(batchId) {
    return new Batch(this.#transport, batchId);
  }

  /** The service's messages about all tasks, as they come, until the signal is aborted. */
  messages(signal) {
    return this.#transport.listen(signal);
  }
}

/** A task of the service. `for await` yields an update for each change, the last one `ended`. */
export class Task {
  #transport;

  constructor(transport, id) {
    this.#transport = transport;
    this.id = checked("taskId", id);
  }

  [Symbol.asyncIterator]() {
    return this.updates();
  }

  /** `options`: timeoutS, signal. A connection that breaks is made again, and nothing that matters is missed. */
  updates(options = {}) {
    const story = new Story([this.id]);
    const look = async (signal) => [story, [story.look(await this.status({ signal }))].filter(Boolean)];
    return this.#transport.follow(`progress/${this.id}`, null, look, options);
  }

  status({ signal } = {}) {
    return this.#transport.send({ path: `api/v1/task-status/${this.id}` }, json("status"), signal);
  }

  /** Waits for the end. Throws TaskFailed, TaskCancelled, TimedOut, ResultExpired. */
  async result({ onUpdate = () => {}, ...options } = {}) {
    let last;
    for await (const update of this.updates(options)) {
      last = update;
      onUpdate(update);
    }
    if (last.status === "cancelled") throw new TaskCancelled(`The task ${this.id} was cancelled.`);
    if (last.status === "error") {
      const state = await this.status(options);
      throw new TaskFailed(state.error_message ?? "The task failed.", { taskId: this.id, code: state.error });
    }
    return this.#transport.send({ path: `api/v1/task-result/${this.id}` }, picture, options.signal);
  }

  /** Final at once; again is fine. Throws Conflict when it has ended otherwise. */
  cancel({ signal } = {}) {
    return this.#transport.send({ method: "POST", path: `api/v1/cancel-task/${this.id}` }, json("status"), signal);
  }

  /** An ended task and its files. */
  forget({ signal } = {}) {
    const gone = { task_id: this.id, status: "deleted", message: "Deleted by a call whose answer was lost." };
    return this.#transport.send({ method: "DELETE", path: `api/v1/tasks/${this.id}`, gone }, json("status"), signal);
  }

  /** Where its time went. */
  stats({ signal } = {}) {
    return this.#transport.send({ path: `api/v1/tasks/${this.id}/stats` }, json("status"), signal);
  }

  deliveries(options) {
    return this.#deliveries({}, options);
  }

  /** Sends its callback once more. */
  redeliver(options) {
    return this.#deliveries({ method: "POST", repeatable: false }, options);
  }

  async #deliveries(how, { signal } = {}) {
    const call = { ...how, path: `api/v1/tasks/${this.id}/deliveries` };
    return (await this.#transport.send(call, json("deliveries"), signal)).deliveries;
  }
}

/** Many tasks. `for await` yields the updates of all of them until all have ended. */
export class Batch {
  #transport;

  constructor(transport, id) {
    this.#transport = transport;
    this.id = checked("batchId", id);
  }

  [Symbol.asyncIterator]() {
    return this.updates();
  }

  updates(options = {}) {
    let story;
    const look = async (signal) => {
      const { tasks } = await this.status({ signal });
      story ??= new Story(tasks.map((task) => task.task_id));
      return [story, tasks.map((task) => story.look(task)).filter(Boolean)];
    };
    return this.#transport.follow("progress", this.id, look, options);
  }

  status({ signal } = {}) {
    return this.#transport.send({ path: `api/v1/batch-status/${this.id}` }, json("tasks"), signal);
  }

  /** Until all have ended; the state then. */
  async wait({ onUpdate = () => {}, ...options } = {}) {
    for await (const update of this.updates(options)) onUpdate(update);
    return this.status(options);
  }

  /** Waits, then `{task, picture}` in order; picture is null for a task that did not complete. */
  async *results(options = {}) {
    for (const task of (await this.wait(options)).tasks) {
      const done = task.status === "completed";
      const path = `api/v1/task-result/${checked("taskId", task.task_id)}`;
      yield { task, picture: done ? await this.#transport.send({ path }, picture, options.signal) : null };
    }
  }

  /** All pictures and report.json as a zip, in a Blob. Throws Conflict until all have ended. */
  download({ signal } = {}) {
    return this.#transport.send({ path: `api/v1/batch-result/${this.id}` }, zip, signal);
  }

  /** What has not ended of it. */
  cancel({ signal } = {}) {
    return this.#transport.send({ method: "POST", path: `api/v1/cancel-batch/${this.id}` }, json("tasks"), signal);
  }
}

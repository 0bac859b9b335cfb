/** The live view: every task that the service tells of, and the figures of its queue. */

import { ConnectionFailed, Unauthorized } from "./client/index.js";
import { text } from "./texts.js";

const ENDS = { task_completed: "completed", task_failed: "error", task_cancelled: "cancelled" };
const MOST_ROWS = 50;
const FIGURES_S = 3;

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
export const stateName = (status) => text(status === "cancelled" ? "cancelledState" : status);

const hasEnded = (status) => Object.values(ENDS).includes(status);

export class TasksView {
  #rows = new Map();
  #controller = null;
  #queue = null;

  /** `onCancel(id)`; `onAsked(came)`: whether the figures came; `onRefused(error)`: this page may not listen. */
  constructor({ body, empty, figures, onCancel, onAsked, onRefused }) {
    Object.assign(this, { body, empty, figures, onCancel, onAsked, onRefused });
  }

  /** Follow another client's service; the last one is left. */
  follow(client) {
    this.#controller?.abort();
    this.#controller = new AbortController();
    const signal = this.#controller.signal;
    this.#listen(client, signal);
    this.#count(client, signal);
  }

  async #listen(client, signal) {
    while (!signal.aborted) {
      try {
        for await (const message of client.messages(signal)) this.#hear(message);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Unauthorized) return this.onRefused(error); // until there is another key
        if (!(error instanceof ConnectionFailed)) throw error;
      }
      await pause(FIGURES_S);
    }
  }

  async #count(client, signal) {
    while (!signal.aborted) {
      if (!document.hidden) {
        const queue = await client.queue({ signal }).catch(() => null);
        if (signal.aborted) return;
        this.#queue = queue;
        this.#showFigures();
        this.onAsked(queue !== null);
      }
      await pause(FIGURES_S);
    }
  }

  #hear(message) {
    const status = ENDS[message.type] ?? (message.type === "progress_update" ? message.status : null);
    if (status === null) return;
    const row = this.#rows.get(message.task_id) ?? this.#add(message.task_id);
    if (hasEnded(row.status)) return;
    row.progress = status === "completed" ? 100 : message.progress ?? row.progress;
    row.status = status;
    this.#show(row);
  }

  /** A row stays the same node: a press that began on its button ends there, whatever comes between. */
  #add(id) {
    const element = this.body.insertRow(0);
    const cells = Array.from({ length: 4 }, () => element.insertCell());
    const button = document.createElement("button");
    button.type = "button";
    button.addEventListener("click", () => this.onCancel(id));
    cells[0].textContent = id;
    cells[3].append(button);
    const row = { id, element, cells, button, status: null, progress: 0 };
    this.#rows.set(id, row);
    if (this.#rows.size > MOST_ROWS) {
      const [oldest] = this.#rows.values();
      this.#rows.delete(oldest.id);
      oldest.element.remove();
    }
    this.empty.hidden = true;
    return row;
  }

  #show({ id, cells, button, status, progress }) {
    cells[1].textContent = stateName(status);
    cells[2].textContent = `${Math.round(progress)} %`;
    button.textContent = text("cancel");
    button.ariaLabel = text("cancelTask", { id });
    if (!hasEnded(status)) return;
    if (document.activeElement === button) this.body.closest("[tabindex]").focus(); // not lost with the button
    button.remove();
  }

  /** All of it, in the language of the page. */
  redraw() {
    for (const row of this.#rows.values()) this.#show(row);
    this.#showFigures();
  }

  #showFigures() {
    this.figures.replaceChildren(...this.#figures());
  }

  #figures() {
    const queue = this.#queue;
    if (queue === null) return [];
    const shown = {
      active: queue.active_tasks, pending: queue.pending_tasks, completed: queue.completed_tasks,
      error: queue.error_tasks, cancelledState: queue.cancelled_tasks, wait: queue.estimated_wait?.toFixed(1) ?? "–",
    };
    return Object.entries(shown).map(([name, value]) => {
      const pair = document.createElement("div");
      const [term, figure] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = text(name);
      figure.textContent = value;
      pair.append(term, figure);
      return pair;
    });
  }
}

/** The live view: every task that the service tells of, and the figures of its queue. */

import { text } from "./texts.js";

const ENDS = { task_completed: "completed", task_failed: "error", task_cancelled: "cancelled" };
const MOST_ROWS = 50;
const FIGURES_S = 3;

export const stateName = (status) => text(status === "cancelled" ? "cancelledState" : status);

export class TasksView {
  #rows = new Map();
  #controller = null;
  #queue = null;

  constructor({ body, empty, figures, onCancel }) {
    Object.assign(this, { body, empty, figures, onCancel });
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
    try {
      for await (const message of client.messages(signal)) this.#hear(message);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #count(client, signal) {
    while (!signal.aborted) {
      if (!document.hidden) {
        // What keeps the figures away, the health line says.
        this.#queue = await client.queue().catch(() => null);
        if (!signal.aborted) this.redraw();
      }
      await new Promise((resolve) => setTimeout(resolve, FIGURES_S * 1000));
    }
  }

  #hear(message) {
    const status = ENDS[message.type] ?? (message.type === "progress_update" ? message.status : null);
    if (status === null) return;
    const known = this.#rows.get(message.task_id);
    if (known && Object.values(ENDS).includes(known.status)) return;
    const progress = status === "completed" ? 100 : message.progress ?? known?.progress ?? 0;
    if (!known && this.#rows.size >= MOST_ROWS) this.#rows.delete(this.#rows.keys().next().value);
    this.#rows.set(message.task_id, { status, progress });
    this.redraw();
  }

  redraw() {
    this.empty.hidden = this.#rows.size > 0;
    const focused = document.activeElement?.dataset?.task;
    this.body.replaceChildren(...[...this.#rows].reverse().map(([id, row]) => this.#row(id, row)));
    if (focused) this.body.querySelector(`[data-task="${CSS.escape(focused)}"]`)?.focus();
    this.figures.replaceChildren(...this.#figures());
  }

  #row(id, { status, progress }) {
    const row = document.createElement("tr");
    for (const cell of [id, stateName(status), `${Math.round(progress)} %`]) row.insertCell().textContent = cell;
    const last = row.insertCell();
    if (Object.values(ENDS).includes(status)) return row;
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.task = id;
    button.textContent = text("cancel");
    button.ariaLabel = text("cancelTask", { id });
    button.addEventListener("click", () => this.onCancel(id));
    last.append(button);
    return row;
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

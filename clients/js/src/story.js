/** The messages of a progress WebSocket become updates. No I/O. */

export const ENDED = ["completed", "error", "cancelled"];
const ENDS = { task_completed: "completed", task_failed: "error", task_cancelled: "cancelled" };

/** What was heard of some tasks. Progress never falls, every end is told once, and after the last it is over. */
export class Story {
  #open;

  constructor(taskIds) {
    this.#open = new Map(taskIds.map((id) => [id, 0]));
  }

  get over() {
    return this.#open.size === 0;
  }

  /** What a message of the service means, if it is news of one of the tasks; else null. */
  hear(text) {
    const message = JSON.parse(text);
    const taskId = message.task_id;
    if (!this.#open.has(taskId)) return null;
    const status = ENDS[message.type];
    if (status) {
      const progress = status === "completed" ? 100 : this.#open.get(taskId);
      return this.#tell(update(taskId, status, null, progress, { message: message.error_message ?? status }));
    }
    if (message.type !== "progress_update") return null;
    return this.#tell(update(taskId, message.status, message.stage, message.progress, message));
  }

  /** The same from a state that was asked for. */
  look(state) {
    if (!this.#open.has(state.task_id)) return null;
    const fields = { ...state, message: state.error_message ?? state.message };
    return this.#tell(update(state.task_id, state.status, state.stage, state.overall_progress, fields));
  }

  #tell(news) {
    if (news.progress < this.#open.get(news.taskId) && !news.ended) return null; // older than was told already
    this.#open.set(news.taskId, news.progress);
    if (news.ended) this.#open.delete(news.taskId);
    return news;
  }
}

function update(taskId, status, stage, progress, fields) {
  return {
    taskId,
    status,
    stage: stage ?? null,
    progress,
    message: fields.message ?? "",
    currentRegion: fields.current_region ?? null,
    totalRegions: fields.total_regions ?? null,
    estimatedRemainingS: fields.estimated_remaining ?? null,
    queuePosition: fields.queue_position ?? null,
    ended: ENDED.includes(status),
  };
}

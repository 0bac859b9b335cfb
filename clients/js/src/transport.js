/** What the client does with a call: sends, repeats, follows. */

import { fromAnswer } from "./answers.js";
import { ConnectionFailed, TimedOut, UnexpectedAnswer } from "./errors.js";
import { DEFAULT_RETRIES, repeated, sleep } from "./retries.js";

const RECONNECT_S = 0.5;
const LONGEST_PAUSE_S = 10;
/** Close codes of the service: no valid key, an origin that is not allowed. Trying again changes nothing. */
const REFUSED = [4401, 4403];

export class Transport {
  #base;
  #apiKey;
  #timeoutS;
  #retries;
  #fetch;
  #WebSocket;

  constructor(baseUrl, { apiKey, timeoutS = 330, retries, fetch, WebSocket } = {}) {
    this.#base = new URL(baseUrl.replace(/\/*$/, "/"));
    this.#apiKey = apiKey || null;
    this.#timeoutS = timeoutS;
    this.#retries = { ...DEFAULT_RETRIES, ...retries };
    this.#fetch = fetch ?? ((...given) => globalThis.fetch(...given));
    this.#WebSocket = WebSocket === undefined ? globalThis.WebSocket : WebSocket;
  }

  /** `call`: method, path, body; `read(response)` makes the answer. */
  async send(call, read, signal) {
    const attempt = () => this.#once(call, read, signal);
    return call.repeatable === false ? attempt() : repeated(attempt, this.#retries, signal);
  }

  async #once({ method = "GET", path, body, alsoOk = [] }, read, signal) {
    const headers = this.#apiKey ? { Authorization: `Bearer ${this.#apiKey}` } : {};
    const limit = AbortSignal.timeout(this.#timeoutS * 1000);
    const either = signal ? AbortSignal.any([signal, limit]) : limit;
    const url = new URL(path, this.#base);
    const sent = { method, headers, body, signal: either };
    try {
      const response = await this.#fetch(url, sent);
      if (!response.ok && !alsoOk.includes(response.status)) throw await fromAnswer(response);
      return await read(response);
    } catch (error) {
      signal?.throwIfAborted();
      if (limit.aborted) throw new TimedOut(`${url.origin} did not answer within ${this.#timeoutS} s.`);
      if (error instanceof SyntaxError) throw new UnexpectedAnswer(`The answer of ${url} is not this service's.`);
      // fetch tells of every failure of the network as a TypeError.
      if (error instanceof TypeError) throw new ConnectionFailed(`${url.origin} cannot be reached.`, { cause: error });
      throw error;
    }
  }

  /**
   * Updates until `story` is over. `look` asks over HTTP: at first, and whenever the WebSocket broke. Without a
   * WebSocket on the platform (Node before 22), it is asked again and again.
   */
  async *follow(path, subject, story, look, { timeoutS, signal } = {}) {
    const end = timeoutS === undefined ? null : Date.now() + timeoutS * 1000;
    for (;;) {
      yield* await look();
      if (story.over) return;
      if (this.#WebSocket) {
        for await (const text of this.#messages(path, subject, end, signal)) {
          const news = story.hear(text);
          if (news) yield news;
          if (story.over) return;
        }
      }
      if (end !== null && Date.now() >= end) throw new TimedOut(`No end of ${subject ?? path} after ${timeoutS} s.`);
      await sleep(RECONNECT_S, signal);
    }
  }

  /** The texts of one connection; over when it closes (`closed.code`), breaks, or `end` has come. Closed when left. */
  async *#messages(path, subject, end, signal, closed = {}) {
    const queue = [];
    let wake = () => {};
    let open = true;
    const put = (text) => {
      if (text === null) open = false;
      else queue.push(text);
      wake();
    };
    const socket = new this.#WebSocket(this.#socketUrl(path));
    socket.onopen = () => subject && socket.send(JSON.stringify({ type: "subscribe_task", task_id: subject }));
    socket.onmessage = (event) => put(event.data);
    socket.onerror = () => put(null);
    socket.onclose = (event) => {
      closed.code ??= event.code;
      put(null);
    };
    const onAbort = () => put(null);
    signal?.addEventListener("abort", onAbort, { once: true });
    const timer = end === null ? null : setTimeout(() => put(null), Math.max(0, end - Date.now()));
    try {
      for (;;) {
        signal?.throwIfAborted();
        if (queue.length > 0) yield queue.shift();
        else if (!open) return;
        else await new Promise((resolve) => (wake = resolve));
      }
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      socket.close();
    }
  }

  /** Everything that the service sends about all tasks, until the signal is aborted or the key is refused. */
  async *listen(signal) {
    let pauseS = RECONNECT_S;
    while (this.#WebSocket && !signal?.aborted) {
      const closed = {};
      for await (const text of this.#messages("progress", null, null, signal, closed)) {
        pauseS = RECONNECT_S;
        yield JSON.parse(text);
      }
      if (REFUSED.includes(closed.code)) return;
      await sleep(pauseS, signal);
      pauseS = Math.min(2 * pauseS, LONGEST_PAUSE_S);
    }
  }

  #socketUrl(path) {
    const url = new URL(`api/v1/ws/${path}`, this.#base);
    url.protocol = url.protocol.replace("http", "ws");
    // The platform's WebSocket can send no headers.
    if (this.#apiKey) url.searchParams.set("api_key", this.#apiKey);
    return url;
  }
}

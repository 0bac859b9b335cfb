/** What the client does with a call: sends, repeats, follows. */

import { fromAnswer } from "./answers.js";
import { ConnectionFailed, NotFound, TimedOut, Unauthorized } from "./errors.js";
import { DEFAULT_RETRIES, limited, repeated, sleep } from "./retries.js";
import { texts } from "./sockets.js";

const RECONNECT_S = 0.5;
const LONGEST_PAUSE_S = 10;
/** Close codes of the service and their statuses: no valid key, an origin that is not allowed. Trying again changes nothing. */
const REFUSED = { 4401: 401, 4403: 403 };
/** Node's fetch has limits of its own (300 s). The work may go on: to repeat the call would double it. */
const NODE_GAVE_UP = ["UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"];

export class Transport {
  #base;
  #apiKey;
  #timeoutS;
  #retries;
  #fetch;
  #WebSocket;

  constructor(baseUrl, { apiKey, timeoutS = 330, retries, fetch, WebSocket } = {}) {
    this.#base = address(baseUrl);
    this.#apiKey = apiKey || null;
    // Not shown: it is a secret.
    if (!/^[\x20-\x7e]*$/.test(apiKey ?? "")) throw new TypeError("apiKey: only printable ASCII characters can be sent");
    this.#timeoutS = timeoutS;
    this.#retries = { ...DEFAULT_RETRIES, ...retries };
    this.#fetch = fetch ?? ((...given) => globalThis.fetch(...given));
    this.#WebSocket = WebSocket === undefined ? globalThis.WebSocket : WebSocket;
  }

  /**
   * `call`: method, path, body, alsoOk (statuses), repeatable, gone (the answer when a repeated call finds nothing: the
   * one before did it); `read(response)` makes the answer.
   */
  async send(call, read, signal) {
    const attempt = async (number) => {
      try {
        return await this.#once(call, read, signal);
      } catch (error) {
        if (number > 1 && call.gone && error instanceof NotFound) return call.gone;
        throw error;
      }
    };
    return call.repeatable === false ? attempt(1) : repeated(attempt, this.#retries, signal);
  }

  async #once({ method = "GET", path, body, alsoOk = [] }, read, signal) {
    const headers = this.#apiKey ? { Authorization: `Bearer ${this.#apiKey}` } : {};
    const { limit, either } = limited(this.#timeoutS, signal);
    const url = new URL(path, this.#base);
    try {
      const response = await this.#fetch(url, { method, headers, body, signal: either });
      if (!response.ok && !alsoOk.includes(response.status)) throw await fromAnswer(response);
      return await read(response);
    } catch (error) {
      signal?.throwIfAborted();
      if (limit.aborted) throw new TimedOut(`${url.origin} did not answer within ${this.#timeoutS} s.`);
      if (NODE_GAVE_UP.includes(error.cause?.code)) {
        throw new TimedOut(`${url.origin} did not answer for as long as Node's fetch waits.`, { cause: error });
      }
      // fetch tells of every failure of the network as a TypeError.
      if (error instanceof TypeError) throw new ConnectionFailed(`${url.origin} cannot be reached.`, { cause: error });
      throw error;
    }
  }

  /**
   * Updates until the story is over. `look(signal)` asks over HTTP for the story and its news: at first, and whenever
   * the WebSocket broke. Without a WebSocket on the platform (Node before 22), it is asked again and again.
   */
  async *follow(path, subject, look, { timeoutS, signal } = {}) {
    const { limit, either } = limited(timeoutS, signal);
    try {
      for (;;) {
        const [story, news] = await look(either);
        yield* news;
        if (story.over) return;
        if (this.#WebSocket) yield* this.#heard(path, subject, story, either);
        if (story.over) return;
        await sleep(RECONNECT_S, either);
      }
    } catch (error) {
      if (error === limit?.reason) throw new TimedOut(`No end of ${subject ?? path} after ${timeoutS} s.`);
      throw error;
    }
  }

  async *#heard(path, subject, story, signal) {
    const hello = subject && JSON.stringify({ type: "subscribe_task", task_id: subject });
    for await (const text of texts(this.#socket(path), { hello, lively: true, signal })) {
      const news = story.hear(text);
      if (news) yield news;
      if (story.over) return;
    }
  }

  /**
   * Everything that the service sends about all tasks, until the signal is aborted. A connection that breaks is made
   * again; throws Unauthorized, and ConnectionFailed when the first one fails.
   */
  async *listen(signal) {
    if (!this.#WebSocket) throw new TypeError("messages() needs a WebSocket: Node 22, or `new Client(url, { WebSocket })`");
    let pauseS = RECONNECT_S;
    let heard = false;
    for (;;) {
      const closed = {};
      for await (const text of texts(this.#socket("progress"), { signal, closed })) {
        pauseS = RECONNECT_S;
        heard = true;
        yield JSON.parse(text);
      }
      const { code, reason } = closed;
      const status = REFUSED[code];
      if (status) throw new Unauthorized(reason, { code: "unauthorized", status, requestId: "", retryAfterS: null });
      if (!heard) throw new ConnectionFailed(`${this.#base.origin} cannot be reached by WebSocket. ${reason ?? ""}`.trim());
      await sleep(pauseS, signal);
      pauseS = Math.min(2 * pauseS, LONGEST_PAUSE_S);
    }
  }

  #socket(path) {
    const url = new URL(`api/v1/ws/${path}`, this.#base);
    url.protocol = url.protocol.replace("http", "ws");
    // The platform's WebSocket can send no headers.
    if (this.#apiKey) url.searchParams.set("api_key", this.#apiKey);
    return new this.#WebSocket(url);
  }
}

function address(given) {
  const text = String(given).replace(/\/*$/, "/");
  const url = URL.canParse(text) ? new URL(text) : null;
  // `localhost:8081` is read as a scheme; fetch takes no address with a name and a password.
  if (/^https?:$/.test(url?.protocol) && !url.username && !url.password) return url;
  throw new TypeError("baseUrl: http://host:port or https://host, with a path at most, is expected");
}

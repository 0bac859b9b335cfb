/** Waiting and following: until ready, until the end of a task, for messages; against a fetch and a WebSocket made here. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";

import * as sdk from "../src/index.js";

const answer = (body, status = 200, headers = {}) => new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers });
const RUNNING = { task_id: "t", status: "processing", overall_progress: 10 };
const ENDED = { task_id: "t", status: "completed", overall_progress: 100 };
const PICTURE = () => new Response("picture", { headers: { "content-type": "image/png" } });

/** A WebSocket that does as `act(socket)` says once it is made; `made` counts them. */
function socketThat(act) {
  return class {
    static made = 0;
    constructor(url) {
      this.constructor.made += 1;
      this.url = url;
      queueMicrotask(() => act(this));
    }
    send() {}
    close() {}
  };
}

const silent = socketThat((socket) => socket.onopen());

/** A fetch that never answers, but hears its signal. Like a real one it keeps Node from ending. */
const never = (url, { signal }) => new Promise((resolve, reject) => {
  const open = setInterval(() => {}, 1000);
  signal.addEventListener("abort", () => {
    clearInterval(open);
    reject(signal.reason);
  });
});

async function seconds(work) {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
}

const healthy = { status: "healthy", message: "Ready.", version: "1" };

test("waiting until it is ready outlasts a closed port, a balancer and a start", async () => {
  const states = [
    () => { throw new TypeError("fetch failed"); },
    () => answer("<html>no backend", 503),
    () => answer({ status: "starting", message: "Loading.", version: "1" }, 503),
    () => answer(healthy),
  ];
  let asked = 0;
  const client = new sdk.Client("http://localhost:1", { fetch: async () => states[asked++]() });
  assert.equal((await client.waitReady(10)).status, "healthy");
  assert.equal(asked, states.length);
});

test("waiting until it is ready ends in time, and tells why", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.on("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  for (const [options, cause] of [[{}, sdk.ConnectionFailed], [{ fetch: never }, undefined]]) {
    const client = new sdk.Client(`http://127.0.0.1:${port}`, options);
    const took = await seconds(() => assert.rejects(client.waitReady(1.2), (error) => {
      assert.equal(error.constructor, sdk.TimedOut);
      assert.equal(error.cause?.constructor, cause);
      return true;
    }));
    assert.ok(took > 1.1 && took < 2, String(took));
  }
  const elsewhere = new sdk.Client("http://localhost:1", { fetch: async () => answer({ hello: "world" }) });
  await assert.rejects(elsewhere.waitReady(5), sdk.UnexpectedAnswer);
});

for (const [name, options] of Object.entries({
  "a service that hangs": { fetch: never },
  "a service that is away": { fetch: async () => { throw new TypeError("fetch failed"); } },
  "a task that goes on": { fetch: async () => answer(RUNNING), WebSocket: silent },
  "a task that goes on, without a WebSocket": { fetch: async () => answer(RUNNING), WebSocket: null },
})) {
  test(`following ${name} ends with the patience, or with the signal`, async () => {
    const client = new sdk.Client("http://localhost:1", { timeoutS: 20, ...options });
    for (const waits of [(own) => client.task("t").result(own), (own) => client.batch("b").wait(own)]) {
      const late = await seconds(() => assert.rejects(waits({ timeoutS: 0.3 }), sdk.TimedOut));
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 300);
      const left = await seconds(() => assert.rejects(waits({ signal: controller.signal, timeoutS: 9 }), { name: "AbortError" }));
      for (const took of [late, left]) assert.ok(took > 0.25 && took < 1, String(took));
      if (name !== "a service that hangs" && name !== "a service that is away") break; // the states are a task's
    }
  });
}

test("every call takes a signal", async () => {
  const client = new sdk.Client("http://localhost:1", { fetch: never, timeoutS: 20 });
  const [task, batch] = [client.task("t"), client.batch("b")];
  const image = new Uint8Array(3);
  const calls = [
    (own) => client.health(own), (own) => client.waitReady(9, own), (own) => client.info(own), (own) => client.queue(own),
    (own) => client.removeText(image, null, own), (own) => client.inpaint(image, image, own), (own) => client.measure(image, [], own),
    (own) => client.detectText(image, own), (own) => client.submit(image, null, own), (own) => client.submitBatch([], own),
    ...["status", "result", "cancel", "forget", "stats", "deliveries", "redeliver"].map((name) => (own) => task[name](own)),
    ...["status", "wait", "download", "cancel"].map((name) => (own) => batch[name](own)),
    (own) => task.updates(own).next(), (own) => batch.updates(own).next(), (own) => batch.results(own).next(),
  ];
  const controller = new AbortController();
  const all = Promise.all(calls.map((call) => assert.rejects(call({ signal: controller.signal }), { name: "AbortError" })));
  setTimeout(() => controller.abort(), 50);
  assert.ok((await seconds(() => all)) < 1);
});

for (const [name, act] of [["says nothing", (socket) => socket.onopen()], ["never opens", () => {}]]) {
  test(`a WebSocket that ${name} is not waited for without end`, async (context) => {
    const states = [RUNNING, ENDED];
    const fetch = async (url) => (url.pathname.includes("task-status") ? answer(states.shift()) : PICTURE());
    const WebSocket = socketThat(act);
    const client = new sdk.Client("http://localhost:1", { fetch, WebSocket });
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const result = client.task("t").result();
    for (let second = 0; second < 35; second += 1) {
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      context.mock.timers.tick(1000);
    }
    assert.equal(Buffer.from(await (await result).bytes()).toString(), "picture");
    assert.equal(WebSocket.made, 1);
  });
}

test("messages: what keeps them away is told", async () => {
  const first = (WebSocket, signal) => new sdk.Client("http://localhost:1", { WebSocket }).messages(signal).next();
  await assert.rejects(first(null), /WebSocket/);
  for (const [code, status] of [[4401, 401], [4403, 403]]) {
    const refusing = socketThat((socket) => socket.onopen() || socket.onclose({ code, reason: "No." }));
    await assert.rejects(first(refusing), (error) => {
      return error instanceof sdk.Unauthorized && error.status === status && error.message === "No.";
    });
  }
  await assert.rejects(first(socketThat((socket) => socket.onclose({ code: 1006, reason: "" }))), sdk.ConnectionFailed);
  await assert.rejects(first(socketThat((socket) => socket.onerror({}))), sdk.ConnectionFailed);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  await assert.rejects(first(silent, controller.signal), { name: "AbortError" });
});

test("messages: a connection that breaks later is made again", async () => {
  const WebSocket = socketThat((socket) => {
    if (WebSocket.made !== 2) socket.onmessage({ data: JSON.stringify({ number: WebSocket.made }) });
    socket.onclose({ code: 1006, reason: "" });
  });
  const heard = [];
  for await (const { number } of new sdk.Client("http://localhost:1", { WebSocket }).messages()) {
    heard.push(number);
    if (heard.length === 2) break;
  }
  assert.deepEqual(heard, [1, 3]);
});

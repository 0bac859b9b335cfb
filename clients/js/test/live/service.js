/** The client against the real service at SERVICE_URL; run by tests/serve/test_javascript_client.py. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { test } from "node:test";

import * as sdk from "../../src/index.js";

const url = process.env.SERVICE_URL;
assert.ok(url, "SERVICE_URL names a running service");
const IMAGE = new URL("../../../../docs/images/before.jpg", import.meta.url);
const REGION = { x: 65, y: 72, width: 442, height: 57 };
const MANY = Array.from({ length: 40 }, (_, i) => [10 + 110 * (i % 8), 10 + 100 * Math.floor(i / 8), 8, 8]);
const client = new sdk.Client(url);

async function collect(iterable) {
  const all = [];
  for await (const one of iterable) all.push(one);
  return all;
}

function checkStory(updates, status) {
  const progress = updates.map((update) => update.progress);
  assert.deepEqual(progress, progress.toSorted((a, b) => a - b));
  assert.equal(updates.at(-1).status, status);
  assert.deepEqual(updates.map((update) => update.ended), [...Array(updates.length - 1).fill(false), true]);
}

test("the service tells of itself", async () => {
  assert.equal((await client.waitReady()).status, "healthy");
  assert.deepEqual((await client.info()).models, ["cv2", "fake"]);
  assert.ok((await client.queue()).active_tasks >= 0);
});

test("now: a path, bytes and a Blob give the same picture", async () => {
  const bytes = await readFile(IMAGE);
  const pictures = [IMAGE, bytes, new Blob([bytes])].map((image) => client.removeText(image, [REGION]));
  const [first, ...others] = await Promise.all((await Promise.all(pictures)).map((picture) => picture.bytes()));
  assert.deepEqual([...first.subarray(1, 4)], [0x50, 0x4e, 0x47]);
  for (const other of others) assert.deepEqual(other, first);
  assert.equal((await client.measure(bytes, [REGION])).regions_processed, 1);
  await assert.rejects(client.removeText(bytes, [REGION], { model: "nope" }), { code: "unknown_model" });
});

for (const [name, WebSocket] of [["a WebSocket", undefined], ["asking again and again", null]]) {
  test(`a task is followed over ${name}`, async () => {
    const own = new sdk.Client(url, WebSocket === null ? { WebSocket } : {});
    assert.equal(typeof globalThis.WebSocket, "function", "run with --experimental-websocket on Node 20");
    const task = await own.submit(IMAGE, [REGION], { model: "fake" });
    const updates = await collect(task);
    checkStory(updates, "completed");
    if (WebSocket === undefined) assert.ok(new Set(updates.map((update) => update.progress)).size >= 3);
    assert.equal((await task.result()).model, "fake");
    const again = await own.submit(IMAGE, [REGION], { model: "fake", taskId: task.id });
    assert.equal(again.id, task.id);
    await assert.rejects(own.submit(IMAGE, [REGION], { taskId: task.id }), sdk.Conflict);
    await task.forget();
    await assert.rejects(task.status(), sdk.NotFound);
  });
}

test("a task is cancelled while it runs, and patience ends", async () => {
  const task = await client.submit(IMAGE, MANY, { model: "fake", hd_strategy: "Crop", hd_strategy_crop_trigger_size: 64, hd_strategy_crop_margin: 8 });
  await assert.rejects(task.result({ timeoutS: 0.5 }), sdk.TimedOut);
  const updates = [];
  for await (const update of task) {
    updates.push(update);
    if (!update.ended && update.stage === "inpainting") await task.cancel();
  }
  checkStory(updates, "cancelled");
  await assert.rejects(task.result(), sdk.TaskCancelled);
});

test("a WebSocket that breaks is made again", async (context) => {
  const target = new URL(url);
  let cuts = 2;
  const proxy = createServer((outer) => {
    const inner = connect(Number(target.port), target.hostname);
    let most = Infinity;
    // Every piece is looked at: Node may upgrade a connection that it kept from an earlier request.
    outer.on("data", (data) => {
      if (most === Infinity && /upgrade: websocket/i.test(String(data)) && cuts-- > 0) most = 600;
      inner.write(data);
    });
    inner.on("data", (data) => {
      outer.write(data);
      most -= data.length;
      if (most <= 0) outer.destroy();
    });
    for (const [one, other] of [[outer, inner], [inner, outer]]) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  context.after(() => proxy.close());
  const own = new sdk.Client(`http://127.0.0.1:${proxy.address().port}`);
  const small = { hd_strategy: "Crop", hd_strategy_crop_trigger_size: 64, hd_strategy_crop_margin: 8 };
  const updates = await collect(await own.submit(IMAGE, MANY.slice(0, 12), { model: "fake", ...small }));
  checkStory(updates, "completed");
  assert.ok(cuts <= 0, "both were cut");
});

test("a batch", async () => {
  const batch = await client.submitBatch([{ image: IMAGE, regions: [REGION] }, { image: IMAGE, regions: [REGION], model: "cv2" }], { model: "fake" });
  const results = await collect(batch.results());
  assert.deepEqual(results.map(({ picture }) => picture.model), ["fake", "cv2"]);
  const zip = await batch.download();
  assert.equal((await zip.slice(0, 2).text()), "PK");
});

test("all messages are heard", async () => {
  const controller = new AbortController();
  const task = client.submit(IMAGE, [REGION], { model: "fake" });
  for await (const message of client.messages(controller.signal)) {
    if (message.type === "task_completed" && message.task_id === (await task).id) break;
  }
  controller.abort();
});

/** What the client does where no real service is needed: against a server that answers as told. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { test } from "node:test";

import * as sdk from "../src/index.js";

const FAST = { firstS: 0.001 };
const REGION = { x: 1, y: 2, width: 3, height: 4 };
const IMAGE = new Uint8Array([1, 2, 3]);
const OURS = { detail: "No.", error: "queue_full", request_id: "r1" };

/** A server that gives these answers in turn, the last one again and again; `cut` breaks the connection. */
async function serve(context, ...answers) {
  const bodies = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    bodies.push(Buffer.concat(chunks).toString("latin1"));
    const answer = answers[Math.min(bodies.length, answers.length) - 1];
    if (answer === "cut") return request.socket.destroy();
    const { status = 200, headers = {}, body = "" } = answer;
    response.writeHead(status, headers).end(typeof body === "object" ? JSON.stringify(body) : body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { client: new sdk.Client(`http://127.0.0.1:${server.address().port}/prefix`, { retries: FAST }), bodies };
}

const picture = { headers: { "content-type": "image/png", "x-model": "cv2", "x-seed": "7", "x-erased": "1/2" }, body: "picture" };

for (const [name, failure] of Object.entries({
  "a proxy's plain 404": { status: 404, body: "Path '/' not found." },
  "a balancer's 502": { status: 502, body: "<html>" },
  "a cut connection": "cut",
  "503 with Retry-After": { status: 503, headers: { "retry-after": "0" }, body: OURS },
  "429 with Retry-After": { status: 429, headers: { "retry-after": "0" }, body: OURS },
})) {
  test(`${name} is overcome`, async (context) => {
    const { client } = await serve(context, failure, failure, picture);
    const got = await client.removeText(IMAGE, [REGION]);
    assert.deepEqual([got.model, got.seed, got.erased], ["cv2", 7, [1, 2]]);
    assert.equal(Buffer.from(await got.bytes()).toString(), "picture");
  });
}

for (const [status, kind] of [[404, "NotFound"], [409, "Conflict"], [413, "TooLarge"], [422, "InvalidRequest"], [500, "ServiceError"]]) {
  test(`${status} of the service is told at once as ${kind}`, async (context) => {
    const { client, bodies } = await serve(context, { status, body: { ...OURS, error: "code" } });
    await assert.rejects(client.removeText(IMAGE, [REGION]), (error) => {
      assert.equal(error.constructor, sdk[kind]);
      assert.deepEqual([error.code, error.status, error.requestId, error.name], ["code", status, "r1", kind]);
      return true;
    });
    assert.equal(bodies.length, 1);
  });
}

test("a Retry-After beyond the patience is told, not waited for", async (context) => {
  const { client } = await serve(context, { status: 429, headers: { "retry-after": "3600" }, body: OURS });
  await assert.rejects(client.queue(), (error) => error instanceof sdk.QueueFull && error.retryAfterS === 3600);
});

test("a submission that is repeated keeps its id; sending a callback is not repeated", async (context) => {
  const accepted = { status: 202, body: { task_id: "t", status: "pending" } };
  const { client, bodies } = await serve(context, "cut", accepted);
  await client.submit(IMAGE, [[1, 2, 3, 4]]);
  const ids = bodies.map((body) => /name="task_id"\r\n\r\n([0-9a-f]{32})\r\n/.exec(body)?.[1]);
  assert.ok(ids.at(-1));
  const other = await serve(context, "cut");
  await assert.rejects(other.client.task("t").redeliver(), sdk.ConnectionFailed);
  assert.equal(other.bodies.length, 1);
});

test("options for found text go as the service reads them, and not beside regions", async (context) => {
  const { client, bodies } = await serve(context, { body: { lines: [] } });
  assert.deepEqual(await client.detectText(IMAGE, { min_score: 0.8, include: [[1, 2, 3, 4]] }), []);
  assert.match(bodies[0], /name="min_score"\r\n\r\n0\.8/);
  assert.match(bodies[0], /name="include"\r\n\r\n\[\{"x":1,/);
  await assert.rejects(client.removeText(IMAGE, [REGION], { min_score: 0.8 }), TypeError);
  assert.equal(bodies.length, 1);
});

test("another service is recognised", async (context) => {
  const { client } = await serve(context, { headers: { "content-type": "text/html" }, body: "<html>welcome" });
  await assert.rejects(client.info(), sdk.UnexpectedAnswer);
  await assert.rejects(client.removeText(IMAGE, [REGION]), sdk.UnexpectedAnswer);
});

test("no answer in time, and a call that its caller gave up", async (context) => {
  const server = createServer(() => {});
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => server.closeAllConnections() ?? server.close());
  const client = new sdk.Client(`http://127.0.0.1:${server.address().port}`, { timeoutS: 0.2 });
  await assert.rejects(client.info(), sdk.TimedOut);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  await assert.rejects(client.removeText(IMAGE, [REGION], { signal: controller.signal }), { name: "AbortError" });
});

test("a callback is verified", async () => {
  const secret = `whsec_${Buffer.from("a secret of this test").toString("base64")}`;
  const body = JSON.stringify({ task_id: "t", status: "completed", timestamp: 1, image_data: "aGk=" });
  const at = String(Math.floor(Date.now() / 1000));
  const sign = (id, when) => createHmac("sha256", "a secret of this test").update(`${id}.${when}.${body}`).digest("base64");
  const headers = { "webhook-id": "m", "webhook-timestamp": at, "webhook-signature": `v1,${sign("m", at)}` };
  const told = await sdk.verifyWebhook(body, headers, secret);
  assert.deepEqual([told.subject, Buffer.from(told.image).toString()], ["t", "hi"]);
  const old = String(Number(at) - 3600);
  for (const [wrongBody, wrongHeaders] of [
    [`${body} `, headers],
    [body, {}],
    [body, { ...headers, "webhook-signature": "v1,!!!" }],
    [body, { ...headers, "webhook-timestamp": old, "webhook-signature": `v1,${sign("m", old)}` }],
  ]) {
    await assert.rejects(sdk.verifyWebhook(wrongBody, wrongHeaders, secret), sdk.NotFromTheService);
  }
});

test("the types name what is exported", async () => {
  const types = await readFile(new URL("../src/index.d.ts", import.meta.url), "utf8");
  const named = [...types.matchAll(/^export (?:class|function) (\w+)/gm)].map((match) => match[1]);
  assert.deepEqual(named.sort(), Object.keys(sdk).sort());
});

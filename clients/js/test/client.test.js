/** What the client does where no real service is needed: against a server that answers as told. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

const picture = { headers: { "content-type": "image/png", "x-model": "cv2", "x-seed": "7", "x-erased": "1/2", "x-notes": "50 %25 of %E6%A8%A1." }, body: "picture" };

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
    assert.deepEqual([got.model, got.seed, got.erased, got.notes], ["cv2", 7, [1, 2], "50 % of 模."]);
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

for (const body of ["<html>welcome", { hello: "world" }, "null", "[]"]) {
  test(`another service is recognised by ${JSON.stringify(body)}`, async (context) => {
    const { client, bodies } = await serve(context, { headers: { "retry-after": "7" }, body });
    const calls = [
      client.health(), client.info(), client.queue(), client.removeText(IMAGE, [REGION]), client.detectText(IMAGE),
      client.measure(IMAGE, [REGION]), client.submit(IMAGE), client.submitBatch([{ image: IMAGE, regions: [REGION] }]),
      client.task("t").status(), client.task("t").deliveries(), client.batch("b").status(), client.batch("b").download(),
    ];
    for (const { reason } of await Promise.allSettled(calls)) {
      assert.equal(reason?.constructor, sdk.UnexpectedAnswer, reason?.stack);
      assert.deepEqual([reason.status, reason.retryAfterS], [200, 7]);
    }
    assert.equal(bodies.length, calls.length);
  });
}

test("what Node's fetch gave up after its own 300 s is told, not done again", async () => {
  for (const code of ["UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"]) {
    let calls = 0;
    const fetch = async () => {
      calls += 1;
      throw Object.assign(new TypeError("fetch failed"), { cause: Object.assign(new Error(), { code }) });
    };
    const client = new sdk.Client("http://localhost:1", { fetch, retries: FAST });
    await assert.rejects(client.removeText(IMAGE, [REGION]), sdk.TimedOut);
    assert.equal(calls, 1);
  }
});

test("forgetting again after a lost answer finds nothing, which is what was wanted", async (context) => {
  const gone = { status: 404, body: { ...OURS, error: "task_not_found" } };
  const lost = await serve(context, "cut", gone);
  assert.equal((await lost.client.task("t").forget()).status, "deleted");
  const unknown = await serve(context, gone);
  await assert.rejects(unknown.client.task("t").forget(), sdk.NotFound);
});

test("an id that the service takes for none is refused before anything is sent", async (context) => {
  const { client, bodies } = await serve(context, { body: {} });
  for (const id of ["a/b", "..", "a b", "é", "t\n", "", "t".repeat(129), undefined, 7]) {
    assert.throws(() => client.task(id), /^TypeError: taskId: letters/, String(id));
  }
  assert.throws(() => client.batch("b".repeat(121)), /^TypeError: batchId: .*120/);
  await assert.rejects(client.submit(IMAGE, [REGION], { taskId: "a/b" }), TypeError);
  await assert.rejects(client.submitBatch([{ image: IMAGE, regions: [REGION] }], { batchId: "../x" }), TypeError);
  assert.equal(bodies.length, 0);
  assert.equal(client.task("t".repeat(128)).id.length, 128);
});

test("an address or a key that cannot work is told when the client is made", () => {
  for (const url of ["localhost:8081", "example", "ftp://example", "http://me:secret@example", ""]) {
    assert.throws(() => new sdk.Client(url), (error) => error instanceof TypeError && /^baseUrl: /.test(error.message));
  }
  for (const apiKey of ["ключ", "a\nb"]) {
    assert.throws(() => new sdk.Client("http://example", { apiKey }), (error) => {
      return error instanceof TypeError && /^apiKey: /.test(error.message) && !error.message.includes(apiKey);
    });
  }
});

test("a picture is saved as a whole or not at all", async (context) => {
  const folder = await mkdtemp(join(tmpdir(), "client-"));
  context.after(() => rm(folder, { recursive: true }));
  const target = join(folder, "clean.png");
  await writeFile(target, "the one before");
  const half = { arrayBuffer: async () => new ArrayBuffer(9) };
  const made = new sdk.Picture(half, new Headers());
  made.bytes = async () => ({ *[Symbol.iterator]() { yield "half"; throw new Error("the disk is full"); } });
  await assert.rejects(made.save(target), /disk is full/);
  assert.equal(await readFile(target, "utf8"), "the one before");
  const whole = new sdk.Picture(new Blob(["whole"]), new Headers());
  await whole.save(target);
  await whole.save(new URL(`file://${folder}/by%20url.png`));
  await symlink(target, join(folder, "link"));
  await new sdk.Picture(new Blob(["through"]), new Headers()).save(join(folder, "link"));
  assert.equal(await readFile(target, "utf8"), "through");
  assert.deepEqual((await readdir(folder)).sort(), ["by url.png", "clean.png", "link"]);
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

/** Callbacks: is it from the service, and what does it say? Standard Webhooks, with the platform's own cryptography. */

import { NotFromTheService } from "./errors.js";

const TOLERANCE_S = 300;
const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

/**
 * `body`: the text as received, before any parsing. `headers`: Headers or an object. `secret`: the service's
 * CALLBACK_SECRET. Throws NotFromTheService: answer 400 and do nothing.
 */
export async function verifyWebhook(body, headers, secret) {
  const sent = new Headers(headers);
  const [id, at, signatures] = ["id", "timestamp", "signature"].map((name) => sent.get(`webhook-${name}`) ?? "");
  if (!id || !signatures || !/^\d+$/.test(at)) throw new NotFromTheService("The callback is not signed.");
  if (Math.abs(Date.now() / 1000 - Number(at)) > TOLERANCE_S) throw new NotFromTheService("The callback is too old.");
  const raw = bytesOf(secret.replace(/^whsec_/, ""));
  const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  const content = new TextEncoder().encode(`${id}.${at}.${body}`);
  for (const one of signatures.split(" ")) {
    const [version, signature] = one.split(",");
    // `verify` compares in constant time.
    if (version === "v1" && (await matches(key, signature, content))) return read(body, id);
  }
  throw new NotFromTheService("The signature is wrong.");
}

async function matches(key, signature, content) {
  try {
    return await crypto.subtle.verify("HMAC", key, bytesOf(signature), content);
  } catch (error) {
    if (error.name === "InvalidCharacterError") return false; // not base64
    throw error;
  }
}

function read(body, messageId) {
  const told = JSON.parse(body);
  return {
    messageId,
    subject: told.task_id ?? told.batch_id,
    status: told.status,
    timestamp: told.timestamp,
    errorMessage: told.error_message ?? null,
    counts: told.counts ?? null,
    image: told.image_data ? bytesOf(told.image_data) : null,
  };
}

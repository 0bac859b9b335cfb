/** Answers that are errors. */

import {
  Conflict, InvalidRequest, NotFound, QueueFull, ResultExpired, ServiceError, TooLarge, Unauthorized, Unavailable,
  UnexpectedAnswer,
} from "./errors.js";

const BY_STATUS = {
  400: InvalidRequest, 401: Unauthorized, 403: Unauthorized, 404: NotFound, 405: InvalidRequest, 409: Conflict,
  408: Unavailable, 410: ResultExpired, 413: TooLarge, 415: InvalidRequest, 422: InvalidRequest, 429: QueueFull, 503: Unavailable,
  504: Unavailable,
};

/** The error that an answer means. Reads its body. */
export async function fromAnswer(response) {
  const status = response.status;
  const retryAfterS = retryAfter(response.headers.get("retry-after"));
  const text = await response.text();
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // Not this service's answer: told below.
  }
  if (typeof body?.error !== "string" || typeof body?.detail !== "string") {
    const message = `HTTP ${status} without the service's error body: is this its address, and is it up?`;
    return new UnexpectedAnswer(message, { status, retryAfterS });
  }
  const kind = BY_STATUS[status] ?? ServiceError;
  return new kind(body.detail, { code: body.error, status, requestId: body.request_id ?? "", retryAfterS });
}

/** Seconds, from either form that HTTP allows; null without the header. */
function retryAfter(text) {
  if (!text) return null;
  if (/^\d+$/.test(text.trim())) return Number(text);
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, (at - Date.now()) / 1000);
}

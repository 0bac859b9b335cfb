/** Answers: what they hold, and those that are errors. */

import {
  Conflict, InvalidRequest, NotFound, QueueFull, ResultExpired, ServiceError, TooLarge, Unauthorized, Unavailable,
  UnexpectedAnswer,
} from "./errors.js";
import { Picture } from "./pictures.js";

const BY_STATUS = {
  400: InvalidRequest, 401: Unauthorized, 403: Unauthorized, 404: NotFound, 405: InvalidRequest, 409: Conflict,
  408: Unavailable, 410: ResultExpired, 413: TooLarge, 415: InvalidRequest, 422: InvalidRequest, 429: QueueFull, 503: Unavailable,
  504: Unavailable,
};

/** Reads a body of JSON that has this field; without it, it is another service's. */
export const json = (field) => async (response) => {
  const body = parsed(await response.text());
  if (body?.[field] == null) throw unexpected(response, `the service's \`${field}\``);
  return body;
};

export async function picture(response) {
  if (!hasType(response, "image/")) throw unexpected(response, "a picture");
  return new Picture(await response.blob(), response.headers);
}

export async function zip(response) {
  if (!hasType(response, "application/zip")) throw unexpected(response, "a zip");
  return response.blob();
}

/** The error that an answer means. Reads its body. */
export async function fromAnswer(response) {
  const body = parsed(await response.text());
  if (typeof body?.error !== "string" || typeof body?.detail !== "string") {
    return unexpected(response, "the service's error body");
  }
  const { status } = response;
  const kind = BY_STATUS[status] ?? ServiceError;
  const retryAfterS = retryAfter(response);
  return new kind(body.detail, { code: body.error, status, requestId: body.request_id ?? "", retryAfterS });
}

function unexpected(response, what) {
  const { status } = response;
  const message = `HTTP ${status} without ${what}: is this its address, and is it up?`;
  return new UnexpectedAnswer(message, { status, retryAfterS: retryAfter(response) });
}

const hasType = (response, type) => response.headers.get("content-type")?.startsWith(type);

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Seconds, from either form that HTTP allows; null without the header. */
function retryAfter(response) {
  const text = response.headers.get("retry-after");
  if (!text) return null;
  if (/^\d+$/.test(text.trim())) return Number(text);
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, (at - Date.now()) / 1000);
}

/** When a call is repeated, and after how long. */

import { ConnectionFailed, QueueFull, Unavailable, UnexpectedAnswer } from "./errors.js";

// Serve's own proxy answers a plain 404 while the application starts or ends; a balancer in front the others.
const PROXY_STATUS = [404, 500, 502, 503, 504];

export const DEFAULT_RETRIES = { attempts: 6, patienceS: 60, firstS: 0.2, longestS: 10 };

export function worthRepeating(error) {
  if (error instanceof UnexpectedAnswer) return PROXY_STATUS.includes(error.status);
  if (error instanceof Unavailable) return error.status === 503;
  return error instanceof ConnectionFailed || error instanceof QueueFull;
}

/** Calls `attempt(number)` until it succeeds, or its failure lasts. A Retry-After beyond the patience is not waited for. */
export async function repeated(attempt, retries, signal) {
  let waited = 0;
  for (let number = 1; ; number += 1) {
    try {
      return await attempt(number);
    } catch (error) {
      const doubled = Math.min(retries.longestS, retries.firstS * 2 ** (number - 1)) * (0.75 + Math.random() / 2);
      const pause = error.retryAfterS ?? doubled;
      const enough = number >= retries.attempts || waited + pause > retries.patienceS;
      if (enough || !worthRepeating(error)) throw error;
      await sleep(pause, signal);
      waited += pause;
    }
  }
}

/** A limit (null without `timeoutS`), and a signal for it and the caller's own: what rejects with `limit.reason` was late. */
export function limited(timeoutS, signal) {
  const limit = timeoutS === undefined ? null : AbortSignal.timeout(timeoutS * 1000);
  return { limit, either: AbortSignal.any([limit, signal].filter(Boolean)) };
}

/** Rejects with the signal's reason when it is aborted meanwhile. */
export function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

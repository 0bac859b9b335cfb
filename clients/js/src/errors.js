/**
 * What can go wrong, by what the caller can do about it; the same classes as the Python client's.
 */

export class TextRemovalClientError extends Error {
  constructor(message, fields = {}) {
    super(message);
    this.name = new.target.name;
    Object.assign(this, fields);
  }
}

/** Nobody answered, also after repeats. */
export class ConnectionFailed extends TextRemovalClientError {}
/** No answer, or no end of a task, in time. */
export class TimedOut extends TextRemovalClientError {}
/** An answer that is not in the service's shape: a proxy's, or another service. */
export class UnexpectedAnswer extends TextRemovalClientError {}
/** The task ended in error; `code` says why. */
export class TaskFailed extends TextRemovalClientError {}
/** The task was cancelled: there is no result. */
export class TaskCancelled extends TextRemovalClientError {}
/** A callback without a valid signature of the service. */
export class NotFromTheService extends TextRemovalClientError {}

/** The service refused: `code` (stable), `status`, `requestId`, `retryAfterS`. */
export class ServiceError extends TextRemovalClientError {}
/** Change the request: the message names the field. */
export class InvalidRequest extends ServiceError {}
/** More bytes or pixels than the service takes. */
export class TooLarge extends ServiceError {}
/** No key, or a wrong one. */
export class Unauthorized extends ServiceError {}
/** No such task, batch or path. */
export class NotFound extends ServiceError {}
/** The state of the task does not allow it, or its id is in use for another content. */
export class Conflict extends ServiceError {}
/** The task is known, its picture is gone. */
export class ResultExpired extends ServiceError {}
/** Come back after `retryAfterS`. */
export class QueueFull extends ServiceError {}
/** Come back after `retryAfterS`. */
export class Unavailable extends ServiceError {}

"""When a call is repeated, and after how long. Every call of this client may be repeated: see ``calls``."""

import email.utils
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenacity import RetryCallState, retry_if_exception

from iopaint_client.errors import ConnectionFailed, QueueFull, Unavailable, UnexpectedAnswer
from iopaint_client.wire import left

# Serve's own proxy answers a plain 404 while the application starts or ends; a balancer in front the others.
_PROXY_STATUS = (404, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Retries:
    """``attempts`` in all, within ``patience_s`` seconds of waiting. Without a Retry-After: doubling from ``first_s``.

    A Retry-After beyond the patience is not waited for: the error tells it.
    """

    attempts: int = 6
    patience_s: float = 60.0
    first_s: float = 0.2
    longest_s: float = 10.0

    def stop(self, state: RetryCallState) -> bool:
        # tenacity has asked ``wait`` before.
        return state.attempt_number >= self.attempts or state.idle_for + state.upcoming_sleep > self.patience_s

    def wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after_s", None)
        if asked is not None:
            return float(asked)
        doubled = self.first_s * 2.0 ** (state.attempt_number - 1)
        return random.uniform(0.75, 1.25) * min(self.longest_s, doubled)

    def for_tenacity(self, end: float | None) -> dict[str, Any]:
        """``end``: no wait goes beyond it. What is tried then says that the time is over."""
        return {
            "stop": self.stop,
            "wait": lambda state: left(end, self.wait(state)),
            "retry": retry_if_exception(worth_repeating),
            "reraise": True,
        }


NO_RETRIES = Retries(attempts=1)


def worth_repeating(error: BaseException) -> bool:
    if isinstance(error, UnexpectedAnswer):
        return error.status in _PROXY_STATUS
    if isinstance(error, Unavailable):
        return error.status == 503
    return isinstance(error, ConnectionFailed | QueueFull)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds, from either form that HTTP allows."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None

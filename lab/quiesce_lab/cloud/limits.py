"""Rate limits: so many calls a second of one API, by account and region."""

from __future__ import annotations

import threading
from collections import deque

from quiesce_lab.cloud.errors import ApiError

_WINDOW_S = 1.0


class RateLimiter:
    """Counts accepted calls over the second that has just passed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accepted: dict[tuple[str, str, str], deque[float]] = {}

    def take(self, key: tuple[str, str, str], *, limit: int, now_s: float) -> None:
        """Count one call of (uin, region, action). Raises ApiError ``RequestLimitExceeded``: it was not executed."""
        with self._lock:
            recent = self._accepted.setdefault(key, deque())
            while recent and recent[0] <= now_s - _WINDOW_S:
                recent.popleft()
            if len(recent) >= limit:
                raise ApiError(
                    "RequestLimitExceeded",
                    f"This is call {len(recent) + 1} of the API within a second; its limit is {limit}.",
                )
            recent.append(now_s)

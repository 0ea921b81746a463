"""The cloud's limit of calls a second, kept on our side so that no call inside a hold is refused for it."""

from __future__ import annotations

import threading
from collections import deque

from quiesce.ports import Clock

CREATES_PER_WINDOW = 20
WINDOW_S = 1.05
"""CreateSnapshot: 20 requests a second per account and region (API reference), and a little for their clock, and for one
call that takes longer on its way than another."""
SLOWER, SLOWEST_S = 1.5, 5.0
"""How much longer the window gets when the cloud refuses a call all the same, and how long at most."""
LOOK_EVERY_S = 0.05


class Paces:
    """Keeps every action to so many calls a second, each by itself. Nobody holds while these are waited for."""

    def __init__(self, clock: Clock, count: int) -> None:
        self._clock = clock
        self._count = count
        self._lock = threading.Lock()
        self._limits: dict[str, RateLimit] = {}

    def wait(self, action: str) -> None:
        """Wait until this action may be called, and count the call."""
        with self._lock:
            limit = self._limits.setdefault(action, RateLimit(self._clock, self._count))
        limit.take(1)
        limit.used()


class RateLimit:
    """Lets at most ``count`` calls be underway, or just done, in any ``window_s`` seconds. One per process, for all targets.

    A permit is taken before the hold and used in it, however long that takes to get, so it counts until the window after
    its call was sent is over. One that is not used has to be given back.
    """

    def __init__(self, clock: Clock, count: int = CREATES_PER_WINDOW, window_s: float = WINDOW_S) -> None:
        self._clock = clock
        self._count = count
        self._window_s = window_s
        self._lock = threading.Lock()
        self._taken = 0
        self._used: deque[float] = deque()

    def take(self, count: int) -> None:
        """Wait until this many permits are there, and take them all; more than there are, when none is in use."""
        wait_s = self._wait_s(count)
        while wait_s > 0:
            self._clock.sleep(wait_s)
            wait_s = self._wait_s(count)

    def _wait_s(self, count: int) -> float:
        """Take them and return 0, or say when to look again: when the oldest call is past, or soon."""
        with self._lock:
            now_s = self._clock.monotonic()
            while self._used and self._used[0] <= now_s - self._window_s:
                self._used.popleft()
            busy = self._taken + len(self._used)
            if not busy or busy + count <= self._count:
                self._taken += count
                return 0.0
            past_s = self._used[0] + self._window_s - now_s if self._used else LOOK_EVERY_S
            return max(0.001, min(past_s, LOOK_EVERY_S))

    def used(self) -> None:
        """Say that a call is being sent."""
        with self._lock:
            self._taken -= 1
            self._used.append(self._clock.monotonic())

    def give_back(self, count: int) -> None:
        """Return permits that will not be used."""
        with self._lock:
            self._taken -= count

    def was_refused(self) -> None:
        """Say that the cloud refused a call for its limit: others use it, too, so from here on there are fewer of ours."""
        with self._lock:
            self._window_s = min(SLOWEST_S, self._window_s * SLOWER)

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
        while not self._taken_at_once(count):
            self._clock.sleep(LOOK_EVERY_S)

    def _taken_at_once(self, count: int) -> bool:
        with self._lock:
            while self._used and self._used[0] <= self._clock.monotonic() - self._window_s:
                self._used.popleft()
            busy = self._taken + len(self._used)
            free = not busy or busy + count <= self._count
            self._taken += count if free else 0
            return free

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

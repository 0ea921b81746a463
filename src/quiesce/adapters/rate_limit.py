"""The cloud's limit of calls a second, kept on our side so that no call inside a hold is refused for it."""

from __future__ import annotations

import math
import threading

import msgspec

from quiesce.ports import Clock

CREATES_PER_WINDOW = 20
WINDOW_S = 1.002
"""CreateSnapshot: 20 requests a second per account and region (API reference), and a little for their clock."""
LATE_S, LATE_AT_FIRST_S = 0.05, 0.15
"""How late a call is taken to arrive for as long as its answer is not there: what is sent a second later may overtake it.
And the first of a process, which are sent while it is still loading and connecting."""
LATEST_S = 0.5
"""How late a slow answer makes it out to be at most: an answer may be slow, too, and not its call."""
ENOUGH = 4
"""How many calls have to be answered until the quickest of them is taken for one that was not late."""
SLOWER, SLOWEST_S = 1.5, 5.0
"""How much longer the window gets when the cloud refuses a call all the same, and how long at most."""
LEAD_S = 0.02
"""How much before it is free a permit is given at most; whoever got the hold sooner waits for so much of it inside."""
LOOK_EVERY_S = 0.05


class Paces:
    """Keeps every action to so many calls a second, each by itself.

    Nobody holds while these are waited for, and one that the cloud refuses is repeated, which costs a second and more: only
    the first are taken to be late.
    """

    def __init__(self, clock: Clock, count: int) -> None:
        self._clock = clock
        self._count = count
        self._lock = threading.Lock()
        self._limits: dict[str, RateLimit] = {}

    def wait(self, action: str) -> None:
        """Wait until this action may be called, and count the call."""
        with self._lock:
            limit = self._limits.setdefault(action, RateLimit(self._clock, self._count, repeatable=True))
        limit.used(limit.take(1))


class Permit(msgspec.Struct, frozen=True):
    """The right to send what was asked for, from ``free_s`` on."""

    taken_s: float
    free_s: float


class Sent(msgspec.Struct):
    """One call. ``counted_s``: when the cloud has counted it at the latest."""

    sent_s: float
    counted_s: float


class RateLimit:
    """Lets the cloud count at most ``count`` calls in any ``window_s`` seconds. One per process, for all targets.

    A permit is taken before the hold and used in it, however long that takes to get, so it counts until the window after
    its call was counted is over. One that is not used has to be given back. Getting a hold takes a moment each time, and by
    the least that it took a permit is given before it is free. When the cloud counts a call is not told, but
    an answer that comes as soon as the quickest one does is of a call that was not late, and one that comes later is of
    a call that was as much late at most.
    """

    def __init__(
        self, clock: Clock, count: int = CREATES_PER_WINDOW, window_s: float = WINDOW_S, *, repeatable: bool = False
    ) -> None:
        """``repeatable``: nothing is lost by a call that the cloud refuses, and none but the first are taken to be late."""
        self._clock = clock
        self._count = count
        self._window_s = window_s
        self._repeatable = repeatable
        self._lock = threading.Lock()
        self._taken = 0
        self._used = 0
        self._least_s = LEAD_S
        """What passed at least between taking a permit and using it."""
        self._sent: list[Sent] = []
        self._answered = 0
        self._quickest_s = math.inf

    def take(self, count: int) -> Permit:
        """Wait until this many permits are there, and take them all; more than there are, when none is in use."""
        found = self._permit_or_wait_s(count)
        while not isinstance(found, Permit):
            self._clock.sleep(found)
            found = self._permit_or_wait_s(count)
        return found

    def _permit_or_wait_s(self, count: int) -> Permit | float:
        """Take them, or say when to look again: when they are free, or soon."""
        with self._lock:
            now_s = self._clock.monotonic()
            self._sent = [one for one in self._sent if one.counted_s > now_s - self._window_s]
            free_s, lead_s = self._free_s(count, now_s), self._lead_s
            if free_s - now_s <= lead_s:
                self._taken += count
                return Permit(now_s, free_s)
            return max(0.001, min(free_s - lead_s - now_s, LOOK_EVERY_S))

    def _free_s(self, count: int, now_s: float) -> float:
        """When so many calls that were sent are past that these may be; infinite while it hangs on calls yet to be sent."""
        past_s = sorted(one.counted_s + self._window_s for one in self._sent)
        too_many = self._taken + len(past_s) + min(count, self._count) - self._count
        if too_many <= 0:
            return now_s
        return past_s[too_many - 1] if too_many <= len(past_s) else math.inf

    @property
    def _lead_s(self) -> float:
        return 0.0 if self._repeatable or self._used < ENOUGH else self._least_s

    @property
    def _late_s(self) -> float:
        """How late the call that is sent now is taken to arrive."""
        if self._repeatable:
            return LATE_AT_FIRST_S if self._used <= ENOUGH else 0.0
        return LATE_S if self._answered >= ENOUGH else LATE_AT_FIRST_S

    def used(self, permit: Permit) -> Sent:
        """Say that a call is sent on return; of what is returned, say when it was answered, if it was."""
        with self._lock:
            now_s = self._clock.monotonic()
            self._used += 1
            self._least_s = min(self._least_s, now_s - permit.taken_s)
        if permit.free_s > now_s:
            self._clock.sleep(permit.free_s - now_s)
        with self._lock:
            now_s = self._clock.monotonic()
            sent = Sent(now_s, now_s + self._late_s)
            self._taken -= 1
            self._sent.append(sent)
            return sent

    def answered(self, sent: Sent) -> None:
        """Say that the cloud has just carried a call out. Not for a refusal, which is quick whenever it arrives."""
        with self._lock:
            took_s = self._clock.monotonic() - sent.sent_s
            if self._answered >= ENOUGH:
                sent.counted_s = sent.sent_s + min(LATEST_S, max(0.0, took_s - self._quickest_s))
            self._answered += 1
            self._quickest_s = min(self._quickest_s, took_s)

    def give_back(self, count: int) -> None:
        """Return permits that will not be used."""
        with self._lock:
            self._taken -= count

    def was_refused(self) -> None:
        """Say that the cloud refused a call for its limit: others use it, too, so from here on there are fewer of ours."""
        with self._lock:
            self._window_s = min(SLOWEST_S, self._window_s * SLOWER)

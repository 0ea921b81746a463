"""What has happened to holds and requests since the daemon started, counted once each, for /metrics."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate

GUARDIAN_FIRED = "the guardian let go at its deadline"
"""Why a hold was lost when the guardian's deadline came before the daemon let go."""


BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
"""From the shortest hold there is, of tens of milliseconds, to beyond every limit that an owner should allow."""


@dataclass
class Durations:
    """How many holds lasted how long: ``counts`` by bucket, the last for those above every bound."""

    sum_s: float = 0.0
    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))

    def note(self, held_s: float) -> None:
        """Count one hold."""
        self.sum_s += held_s
        self.counts[bisect_left(BUCKETS_S, held_s)] += 1

    def cumulative(self) -> list[tuple[str, float]]:
        """Return for each bound how many lasted no longer, as Prometheus has it."""
        bounds = [*(f"{bound_s:g}" for bound_s in BUCKETS_S), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self.counts))))


@dataclass
class Tally:
    """Counters. What the keeper counts by lease: granted, ended, frozen and durations; the rest is the server's."""

    granted: int = 0
    released: int = 0
    expired: int = 0
    guardian_fired: int = 0
    last_hold_s: float = 0.0
    frozen: bool = False
    """Whether a hold that was granted keeps filesystems frozen."""
    durations: Durations = field(default_factory=Durations)
    _refused: dict[str, Counter[str]] = field(default_factory=lambda: {"hold": Counter(), "request": Counter()})
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hold_ended(self, *, expired: bool, reason: str, held_s: float) -> None:
        """Count the end of a hold that lasted ``held_s``."""
        self.expired += expired
        self.released += not expired
        self.durations.note(held_s)
        self.guardian_fired += reason == GUARDIAN_FIRED
        self.last_hold_s = held_s

    def hold_refused(self, code: str) -> None:
        """Count an answer that refused a hold."""
        self._count("hold", code)

    def request_refused(self, code: str) -> None:
        """Count a request that was refused for its form, or a handshake that failed."""
        self._count("request", code)

    def outcomes(self) -> dict[str, float]:
        """Return how holds that were asked for ended."""
        refused = sum(self.holds_refused().values())
        return {"released": self.released, "expired": self.expired, "refused": refused}

    def holds_refused(self) -> dict[str, int]:
        """Return the refusals of holds by code."""
        with self._lock:
            return dict(self._refused["hold"])

    def requests_refused(self) -> dict[str, int]:
        """Return the refusals of requests by code."""
        with self._lock:
            return dict(self._refused["request"])

    def _count(self, what: str, code: str) -> None:
        with self._lock:
            self._refused[what][code] += 1

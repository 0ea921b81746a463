"""What has happened to holds and requests since the daemon started, counted once each, for /metrics."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

GUARDIAN_FIRED = "the guardian let go at its deadline"
"""Why a hold was lost when the guardian's deadline came before the daemon let go."""


@dataclass
class Tally:
    """Counters. ``granted``, ``ended`` and ``last_hold_s`` are the keeper's, by lease; the rest is the server's."""

    granted: int = 0
    expired: int = 0
    guardian_fired: int = 0
    last_hold_s: float = 0.0
    _refused: dict[str, Counter[str]] = field(default_factory=lambda: {"hold": Counter(), "request": Counter()})
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hold_ended(self, *, expired: bool, reason: str, held_s: float) -> None:
        """Count the end of a hold that lasted ``held_s``."""
        self.expired += expired
        self.guardian_fired += reason == GUARDIAN_FIRED
        self.last_hold_s = held_s

    def hold_refused(self, code: str) -> None:
        """Count an answer that refused a hold."""
        self._count("hold", code)

    def request_refused(self, code: str) -> None:
        """Count a request that was refused for its form, or a handshake that failed."""
        self._count("request", code)

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

"""What the keeper asks of a quiescer.

A quiescer knows one application. ``prepare`` does everything slow and holds nothing; the hold it returns is what the
keeper registers, arms the guardian with, and only then calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Protocol

from quiesced.messages import ApplicationWitness, Refusal


@dataclass(frozen=True)
class Report:
    """What ``check`` found: ``paths`` are (role, absolute path) pairs that the application writes."""

    version: str
    paths: tuple[tuple[str, str], ...]
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True)
class Budget:
    """Time left for getting and keeping a hold, in seconds, as functions of this process's monotonic clock.

    ``hold_limit_s`` is the length of the whole hold, for a dead-man inside the server.
    """

    acquire_left_s: Callable[[], float]
    hold_limit_s: float


@dataclass(frozen=True)
class Watched:
    """What a hold made writers wait, as far as the quiescer can see: the most at one look, and writers x seconds.

    ``too_many`` says why the hold has to end now; it is empty while the hold may go on.
    """

    peak_writers: int = 0
    writer_s: float = 0.0
    samples: int = 0
    too_many: str = ""


class Hold(Protocol):
    """One application's hold, prepared but not yet taken. Calls come from one thread at a time."""

    name: str
    """The application's name in the daemon's configuration."""
    leftover: dict[str, object]
    """JSON-able: all that ``heal`` of the same engine needs after the daemon died in the middle."""

    def sockets(self) -> tuple[int, ...]:
        """File descriptors whose shutdown ends the hold; the guardian keeps duplicates of them."""

    def quiesce(self, budget: Budget) -> None:
        """Take the hold, or raise Refused and hold nothing."""

    def witness(self) -> ApplicationWitness:
        """Observe the hold. Never raises for an application in trouble: that is what the witness says."""

    def watched(self) -> Watched:
        """Say what writers had to wait so far. May be called at any time, from any thread; never waits or raises."""

    def release(self) -> None:
        """Let go and restore what was there before. May be called at any time, any number of times; never raises."""


class Quiescer(Protocol):
    """One configured application."""

    name: str
    engine: str

    def check(self) -> Report:
        """Look, and change nothing."""

    def prepare(self, budget: Budget, register: Callable[[dict[str, object]], None]) -> Hold:
        """Guard, connect and pre-flush; hold nothing. Raises Refused.

        ``register`` stores what ``heal`` would need; it is called before any setting is changed.
        """

    def heal(self, leftover: dict[str, object]) -> None:
        """Undo what an earlier daemon left behind. Idempotent; never raises."""

"""What the keeper asks of a quiescer.

A quiescer knows one application. ``prepare`` does everything slow and holds nothing; the hold it returns is what the
keeper registers, arms the guardian with, and only then calls.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Protocol

from quiesced.messages import ApplicationWitness, Refusal


@dataclass(frozen=True)
class Report:
    """What ``check`` found: ``paths`` are (role, absolute path) pairs that the application writes.

    ``scratch`` are more such pairs, of what a restore does without. ``mode`` is how a hold would be had, and why so.
    """

    version: str
    paths: tuple[tuple[str, str], ...]
    refusals: tuple[Refusal, ...]
    scratch: tuple[tuple[str, str], ...] = ()
    mode: str = ""
    mode_reason: str = ""


class HeldBy(str, enum.Enum):
    """What keeps an application's writers still while its hold lasts."""

    LOCK = "lock"
    """A lock of the application itself."""
    FREEZE = "freeze"
    """The freeze of every filesystem that it writes to."""
    WORD = "word"
    """It says that it holds, and shows nothing: worth no more than the freeze."""


@dataclass(frozen=True)
class Scene:
    """What is about to be snapshotted, for an engine that has more than one way to hold."""

    covers: Callable[[Path], bool]
    """Whether a path lies on a disk of the set."""


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
    held_by: HeldBy
    """Settled by ``prepare``."""
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

    def attachments(self) -> Mapping[str, str]:
        """Return texts by file name that a restore needs beside the snapshots. Complete only after ``release``."""


class Quiescer(Protocol):
    """One configured application."""

    name: str
    engine: str

    def check(self, scene: Scene) -> Report:
        """Look, and change nothing."""

    def prepare(self, budget: Budget, scene: Scene, register: Callable[[dict[str, object]], None]) -> Hold:
        """Guard, connect and pre-flush; hold nothing. Raises Refused.

        ``register`` stores what ``heal`` would need; it is called before any setting is changed.
        """

    def heal(self, leftover: dict[str, object]) -> None:
        """Undo what an earlier daemon left behind. Idempotent; never raises."""

    def remains(self, leftover: dict[str, object]) -> tuple[str, ...]:
        """Say, one sentence each, what still keeps writers waiting, or a session, of a daemon that died. Never raises."""

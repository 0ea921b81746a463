"""What the procedure asks of the world. Each duty says what it may raise; nothing else may come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from quiesce.holds import (
    CheckAnswer,
    CheckRequest,
    QuiesceAnswer,
    QuiesceRequest,
    ReleaseAnswer,
    ReleaseRequest,
)
from quiesce.model import Intent, Level, Snapshot, TargetPlan


class Agent(Protocol):
    """The hook daemon of one instance. Every method raises AgentError and nothing else."""

    def check(self, request: CheckRequest) -> CheckAnswer:
        """Ask what a hold would cover; opens the connection that the hold will use."""

    def prepare(self, request: QuiesceRequest) -> QuiesceAnswer:
        """Have everything slow done for a hold, once: never retried, because the lease can be released instead."""

    def quiesce(self, request: QuiesceRequest) -> QuiesceAnswer:
        """Ask for the hold that was prepared, once."""

    def release(self, request: ReleaseRequest) -> ReleaseAnswer:
        """Let go; retried until answered or until the hold's own limit has certainly passed."""


class SnapshotStore(Protocol):
    """The snapshots of one region. Every method raises CloudError and nothing else."""

    def find(self, intents: Sequence[Intent]) -> Mapping[str, Snapshot]:
        """Look up by exact name, pending or not, or as a member of the group named; keys are disk ids.

        A disk without such a snapshot is absent.
        """

    def connect(self, intents: Sequence[Intent]) -> None:
        """Do everything slow that ``create`` needs, and refuse what it would refuse; creates nothing."""

    def admit(self, intents: Sequence[Intent]) -> None:
        """Wait until the cloud's rate limit allows to create these, and keep that free for them. Raises nothing."""

    def create(self, *intents: Intent, timeout_s: float) -> str:
        """Send one call that makes this snapshot, once, or a group of several; returns the snapshot's or group's id.

        A null id is an ambiguous CloudError. UnavailableError: this account has no groups, so nothing was made.
        """


class Clock(Protocol):
    """Time, handed in so that tests own it."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class World(msgspec.Struct, frozen=True):
    """Everything outside that the procedure needs for one target."""

    agent: Agent
    snapshots: SnapshotStore
    clock: Clock
    new_lease_id: Callable[[], str]
    recorded_level: Callable[[TargetPlan, Mapping[str, Snapshot]], Level | None]
    """Level that an earlier delivery recorded and signed on these snapshots."""
    api_timeout_s: float

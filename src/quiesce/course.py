"""One target under way: its plan, its world, and its journal."""

from __future__ import annotations

import msgspec

from quiesce import facts, holds
from quiesce.judge import Verdict
from quiesce.model import Level, TargetPlan
from quiesce.ports import World


class Target(msgspec.Struct, frozen=True):
    """One instance to snapshot, and everything outside that this needs."""

    plan: TargetPlan
    world: World


class Course(msgspec.Struct):
    """What is known of a target so far, beside its journal."""

    plan: TargetPlan
    world: World
    journal: facts.Journal
    checked: holds.CheckAnswer | None = None
    wanted: bool = False
    """Whether its set is still to be made, and could be."""
    request: holds.QuiesceRequest | None = None
    """Set from the moment at which a release is owed."""
    prepared: bool = False

    @classmethod
    def begin(cls, target: Target) -> Course:
        """Begin with an empty journal."""
        return cls(target.plan, target.world, facts.Journal(target.world.clock.monotonic))

    def trouble(self, where: str, reason: str) -> None:
        """Note what failed."""
        self.journal.note(facts.Trouble(where, reason))


class Together(msgspec.Struct, frozen=True):
    """What several instances got that were to be cut together.

    ``level`` is that of all of them as one, ``skew_s`` the time from the first call that was sent to the last that was
    accepted, on one clock; None when they were not all held at the same time.
    """

    members: tuple[str, ...]
    level: Level
    skew_s: float | None


class Outcome(msgspec.Struct, frozen=True):
    """What one target got, and everything it was judged from."""

    plan: TargetPlan
    verdict: Verdict
    entries: tuple[facts.Timed, ...]
    together: Together | None = None

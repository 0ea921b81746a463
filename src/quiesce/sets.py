"""Sets of snapshots as the cloud lists them: what one run made of one instance, and by which names they are found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from quiesce.adapters.estate import Made
from quiesce.errors import RequestError
from quiesce.model import Level
from quiesce.words import _

LATEST, LAST_FAILED = "latest", "last-failed"


@dataclass(frozen=True)
class MadeSet:
    """One set, with its members in the order of their disks."""

    members: tuple[Made, ...]

    @property
    def run_id(self) -> str:
        """The run that made it."""
        return self.members[0].point.run_id

    @property
    def instance_id(self) -> str:
        """The instance that it is of; empty until its run has tagged it."""
        return self.members[0].point.instance_id

    @property
    def policy(self) -> str:
        """The policy that it was made for, or the prefix of its name."""
        return self.members[0].policy or self.members[0].prefix

    @property
    def created_at(self) -> datetime:
        """When its last member was made."""
        return max(one.point.created_at for one in self.members)

    @property
    def level(self) -> Level:
        """What it may be called; a set that has lost a member is nothing any more."""
        return Level.NONE if self.missing else min(one.point.level for one in self.members)

    @property
    def missing(self) -> int:
        """How many of its members are no longer there."""
        return max(one.point.missing for one in self.members)

    @property
    def percent(self) -> int:
        """How much of it is complete."""
        return min(one.percent for one in self.members)

    @property
    def state(self) -> str:
        """``complete``, ``creating``, ``pending`` while nobody has vouched for it, or ``broken``."""
        if self.missing:
            return "broken"
        if any(not one.point.complete for one in self.members):
            return "creating"
        return "pending" if any(one.point.pending for one in self.members) else "complete"

    @property
    def held_ms(self) -> int | None:
        """How long its writers were held, in milliseconds."""
        text = self.members[0].tags.get("quiesce:held-ms", "")
        return int(text) if text.isdecimal() else None


def sets_of(made: Iterable[Made]) -> tuple[MadeSet, ...]:
    """Put snapshots together, newest set first."""
    found: dict[tuple[str, str], list[Made]] = {}
    for one in made:
        found.setdefault(one.point.set_key, []).append(one)
    sets = [MadeSet(tuple(sorted(members, key=lambda one: one.point.disk_id))) for members in found.values()]
    return tuple(sorted(sets, key=lambda one: (one.created_at, one.run_id), reverse=True))


def chosen(sets: Sequence[MadeSet], name: str) -> tuple[MadeSet, ...]:
    """Find the sets of a run by its id, a snapshot's id, ``latest`` or ``last-failed``. Raises RequestError (404)."""
    if name in (LATEST, LAST_FAILED):
        fitting = [one for one in sets if (one.level > Level.UNKNOWN) is (name == LATEST)]
        found = [one for one in fitting if one.run_id == fitting[0].run_id]
    else:
        found = [
            one for one in sets if name == one.run_id or any(name == member.point.snapshot_id for member in one.members)
        ]
    if not found:
        raise RequestError(_("there is no set {name!r}; `quiesce list` shows what there is", name=name), status=404)
    return tuple(found)

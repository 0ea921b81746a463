"""Which snapshots to keep: the newest N sets, and the newest of each of the last hours, days, weeks, months and years.

Decided per set (what one run made of one instance), because half of a set restores nothing. Decided from nothing but
what the cloud lists, and only about snapshots that Quiesce made and named. What must stay, whatever the rules say:

- the newest ``application`` point of every disk;
- what is being copied, is shared, or is bound to an image;
- what is not complete, or whose level is not known yet and that is younger than a day: a run may still be at work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from quiesce.model import Level

PENDING_FOR = timedelta(days=1)
"""How long a run may take until its snapshots have their own names, with every retry of SCF."""


class Point(msgspec.Struct, frozen=True):
    """One snapshot that Quiesce made. ``bound`` says in words what keeps it from being deleted."""

    snapshot_id: str
    disk_id: str
    run_id: str
    instance_id: str
    created_at: datetime
    level: Level
    pending: bool = False
    complete: bool = True
    bound: str = ""
    missing: int = 0
    """How many snapshots of its set are no longer there."""

    @property
    def set_key(self) -> tuple[str, str]:
        """What its set is known by: what one run made of one instance."""
        return self.run_id, self.instance_id

    @property
    def whole(self) -> bool:
        """Whether its set can be restored, for all that is known: it is complete, vouched for, and has all its members."""
        return self.complete and not self.pending and not self.missing

    @property
    def usable(self) -> bool:
        """Whether a database can be restored from it, for all that is known."""
        return self.level is Level.APPLICATION and self.whole


class Rules(msgspec.Struct, frozen=True):
    """How many to keep: the newest, and one for each of the last hours, days, ... that have one."""

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0

    @property
    def keep_nothing(self) -> bool:
        """Whether no rule keeps anything: then nothing is pruned, because nobody has said what may go."""
        return not any((self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly))


class Decision(msgspec.Struct, frozen=True):
    """What becomes of one set, and why, in words."""

    points: tuple[Point, ...]
    reasons: tuple[str, ...] = msgspec.field(default=())

    @property
    def keep(self) -> bool:
        """Whether anything keeps it."""
        return bool(self.reasons)

    @property
    def created_at(self) -> datetime:
        """When its last snapshot was made."""
        return max(point.created_at for point in self.points)

    @property
    def level(self) -> Level:
        """The weakest of its snapshots' levels."""
        return min(point.level for point in self.points)


_PERIODS: Mapping[str, Callable[[datetime], object]] = {
    "hourly": lambda at: (at.date(), at.hour),
    "daily": lambda at: at.date(),
    "weekly": lambda at: at.isocalendar()[:2],
    "monthly": lambda at: (at.year, at.month),
    "yearly": lambda at: at.year,
}


def decide(points: Iterable[Point], rules: Rules, now: datetime) -> tuple[Decision, ...]:
    """Decide about every set of one policy, newest first. Times carry an offset, and days are those of that offset."""
    sets = _sets(points)
    kept: dict[int, list[str]] = {number: [] for number in range(len(sets))}
    for number, one in enumerate(sets):
        kept[number] += _must_stay(one, now)
    _keep_newest_application(sets, kept)
    if rules.keep_nothing:
        for reasons in kept.values():
            reasons.append("no rule says what may go")
    else:
        _keep_by_rules(sets, rules, kept)
    return tuple(Decision(one, tuple(kept[number])) for number, one in enumerate(sets))


def _sets(points: Iterable[Point]) -> list[tuple[Point, ...]]:
    """Put together what one run made of one instance; newest first."""
    found: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        found.setdefault(point.set_key, []).append(point)

    def age(one: Sequence[Point]) -> tuple[datetime, str]:
        return max(point.created_at for point in one), one[0].run_id

    return sorted(map(tuple, found.values()), key=age, reverse=True)


def _must_stay(one: Sequence[Point], now: datetime) -> list[str]:
    reasons = [f"{point.snapshot_id} is {point.bound}" for point in one if point.bound]
    reasons += [f"{point.snapshot_id} is not complete" for point in one if not point.complete]
    if any(point.pending and now - point.created_at < PENDING_FOR for point in one):
        reasons.append("its level is not known yet, and its run may be at work")
    if any(point.missing and now - point.created_at < PENDING_FOR for point in one):
        reasons.append("a part of it is not listed, and it is younger than a day")
    return reasons


def _keep_newest_application(sets: Sequence[tuple[Point, ...]], kept: dict[int, list[str]]) -> None:
    safe: set[str] = set()
    for number, one in enumerate(sets):
        usable = {point.disk_id for point in one if point.usable}
        newest = sorted(usable - safe)
        if newest:
            kept[number].append(f"the newest application-consistent point of {', '.join(newest)}")
        safe |= usable


def _keep_by_rules(sets: Sequence[tuple[Point, ...]], rules: Rules, kept: dict[int, list[str]]) -> None:
    """Count what is a restore point for good: a whole set whose level is known, and is not none."""
    for instance_id in {one[0].instance_id for one in sets}:
        counted = [n for n, one in enumerate(sets) if one[0].instance_id == instance_id and _is_a_point(one)]
        for place, number in enumerate(counted[: rules.last], 1):
            kept[number].append(f"last {place} of {rules.last}")
        for word, period_of in _PERIODS.items():
            wanted = getattr(rules, word)
            seen: set[object] = set()
            for number in counted:
                period = period_of(max(point.created_at for point in sets[number]))
                if len(seen) < wanted and period not in seen:
                    seen.add(period)
                    kept[number].append(f"{word} {len(seen)} of {wanted}")


def _is_a_point(one: Sequence[Point]) -> bool:
    return all(point.level > Level.NONE and not point.pending and not point.missing for point in one)

"""Run records added up as they pass: a year of hourly runs of many disks is read once, and never held whole.

Kept are the figures of every hold by instance and period, the failures by their reason, and the few runs that are
shown in detail: the latest, and the latest whose hold was longer than its budget.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone

from quiesce.history.lines import Record
from quiesce.html_report.model import Application, Period, Stalls, Trouble

LATEST, BEYOND = 20, 10
"""How many runs are shown in detail: the latest of all, and the latest of those beyond their budget."""
MAX_KINDS = 5_000
"""How many kinds of failure are told apart; of more, those that were not seen for longest are let go."""
DAILY_UP_TO_DAYS = 45
_UNFINISHED = ("in_progress", "dispatched")
_WELL = "reached"


@dataclass
class _Holds:
    """The holds of one instance by one policy, in milliseconds, by the day on which their period begins."""

    by_period: dict[date, array[float]] = field(default_factory=dict)
    beyond: int = 0
    applications: dict[str, Application] = field(default_factory=dict)


class AddedUp:
    """Takes records in any order; one that comes twice, as record and as log line, counts once."""

    def __init__(self, now: datetime, days: int, hold_limits_ms: Mapping[str, float]) -> None:
        """``days``: how far back; ``hold_limits_ms``: of each policy that there is."""
        self.records = 0
        self.let_go = 0
        """How many kinds of failure were let go."""
        self.days_per_period = 1 if days <= DAILY_UP_TO_DAYS else 7
        self._since = now - timedelta(days=days)
        self._limits_ms = hold_limits_ms
        self._seen: set[int] = set()
        self._holds: dict[tuple[str, str], _Holds] = {}
        self._troubles: dict[tuple[object, ...], Trouble] = {}
        self._latest: list[tuple[datetime, int, Record]] = []
        self._beyond: list[tuple[datetime, int, Record]] = []

    def add(self, record: Record) -> None:
        """Count one record in."""
        if record.status in _UNFINISHED or (record.at is not None and record.at < self._since):
            return
        key = (record.run_id, record.instance_id, record.level, record.held_ms, record.reason)
        if record.waits and record.held_ms and self._first(("waits", *key)):
            self._wait(record)
        if not self._first(key):
            return
        self.records += 1
        limit_ms = self._limits_ms.get(record.policy)
        beyond = limit_ms is not None and record.held_ms is not None and record.held_ms > limit_ms
        if record.at is not None:
            self._pick(self._latest, LATEST, record.at, record)
            if beyond:
                self._pick(self._beyond, BEYOND, record.at, record)
            if record.held_ms:
                self._hold(record.at, record, record.held_ms, beyond=beyond)
        if record.status != _WELL or not record.release_confirmed:
            self._trouble(record)

    def picks(self) -> tuple[Record, ...]:
        """Return the records that are shown in detail, newest first."""
        chosen = {number: (at, record) for at, number, record in (*self._latest, *self._beyond)}
        return tuple(record for _, record in sorted(chosen.values(), key=lambda one: one[0], reverse=True))

    def stalls(self) -> tuple[Stalls, ...]:
        """Sum up the holds of every instance, those nearest to their budget first."""
        found = [
            self._sum(instance_id, policy, holds) for (instance_id, policy), holds in self._holds.items() if holds.by_period
        ]
        return tuple(sorted(found, key=lambda one: -one.max_ms / (one.hold_limit_ms or one.max_ms or 1)))

    def troubles(self) -> tuple[Trouble, ...]:
        """Return every kind of failure, newest first; those without a time come last."""
        return tuple(sorted(self._troubles.values(), key=_newest, reverse=True))

    def _first(self, key: tuple[object, ...]) -> bool:
        """Whether this is seen for the first time. Hashes alone are kept: of a year there are millions."""
        seen, number = len(self._seen), hash(key)
        self._seen.add(number)
        return len(self._seen) > seen

    def _of(self, record: Record) -> _Holds:
        return self._holds.setdefault((record.instance_id, record.policy), _Holds())

    def _wait(self, record: Record) -> None:
        applications = self._of(record).applications
        for wait in record.waits:
            before = applications.get(wait.name)
            applications[wait.name] = Application(
                name=wait.name,
                peak_writers=max(wait.peak_writers, before.peak_writers if before else 0),
                writer_s=wait.writer_s + (before.writer_s if before else 0.0),
            )

    def _pick(self, heap: list[tuple[datetime, int, Record]], most: int, at: datetime, record: Record) -> None:
        item = (at, self.records, record)
        if len(heap) < most:
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)

    def _hold(self, at: datetime, record: Record, held_ms: float, *, beyond: bool) -> None:
        day = at.astimezone(timezone.utc).date()
        begins = day if self.days_per_period == 1 else day - timedelta(days=day.weekday())
        holds = self._of(record)
        holds.by_period.setdefault(begins, array("d")).append(held_ms)
        holds.beyond += beyond

    def _trouble(self, record: Record) -> None:
        kind = (record.policy, record.instance_id, record.status, record.level, record.release_confirmed, record.reason)
        before = self._troubles.get(kind)
        newer = before is None or _before(before.newest, record.at)
        times = [at for at in (record.at, *((before.newest, before.oldest) if before else ())) if at is not None]
        self._troubles[kind] = Trouble(
            newest=max(times, default=None),
            oldest=min(times, default=None),
            times=1 + (before.times if before else 0),
            run_id=record.run_id if newer or before is None else before.run_id,
            policy=record.policy,
            instance_id=record.instance_id,
            status=record.status,
            level=record.level,
            level_asked=record.level_asked,
            release_confirmed=record.release_confirmed,
            reason=record.reason,
        )
        if len(self._troubles) > 2 * MAX_KINDS:
            kept = sorted(self._troubles.items(), key=lambda item: _newest(item[1]), reverse=True)[:MAX_KINDS]
            self.let_go += len(self._troubles) - len(kept)
            self._troubles = dict(kept)

    def _sum(self, instance_id: str, policy: str, holds: _Holds) -> Stalls:
        everything = sorted(held_ms for values in holds.by_period.values() for held_ms in values)
        return Stalls(
            instance_id=instance_id,
            policy=policy,
            hold_limit_ms=self._limits_ms.get(policy),
            holds=len(everything),
            beyond=holds.beyond,
            p50_ms=percentile(everything, 50),
            p95_ms=percentile(everything, 95),
            max_ms=everything[-1],
            periods=tuple(_period(begins, holds.by_period[begins]) for begins in sorted(holds.by_period)),
            applications=tuple(holds.applications[name] for name in sorted(holds.applications)),
        )


def percentile(ordered: list[float], percent: int) -> float:
    """Nearest rank: the smallest value that at least so many percent of the values do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _period(begins: date, values: Iterable[float]) -> Period:
    ordered = sorted(values)
    return Period(
        begins=begins,
        holds=len(ordered),
        p50_ms=percentile(ordered, 50),
        p95_ms=percentile(ordered, 95),
        max_ms=ordered[-1],
    )


def _newest(trouble: Trouble) -> datetime:
    return trouble.newest or datetime.min.replace(tzinfo=timezone.utc)


def _before(one: datetime | None, other: datetime | None) -> bool:
    return other is not None and (one is None or one < other)

"""What is protected: every disk with its newest point per level, against the objectives of the policies that cover it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from quiesce.model import Level
from quiesce.plan import Disk
from quiesce.policies import Policy
from quiesce.retention import Point


class Finding(enum.Enum):
    """How a disk stands."""

    COVERED = "covered"
    """A policy covers it, and its newest point is young enough, or nobody said how old it may be."""
    LATE = "late"
    """The newest point of the level asked for is older than the objective, or there is none."""
    UNCOVERED = "uncovered"
    """No policy covers it."""


class Row(msgspec.Struct, frozen=True):
    """One disk. ``newest`` has, for each level, when its newest point of at least that level was made."""

    disk_id: str
    instance_id: str
    policies: tuple[str, ...]
    newest: Mapping[Level, datetime]
    objective_hours: float | None
    age_hours: float | None
    finding: Finding


def cover(
    disks: Iterable[Disk],
    chosen_by: Mapping[str, frozenset[str]],
    policies: Mapping[str, Policy],
    points: Iterable[Point],
    now: datetime,
) -> tuple[Row, ...]:
    """Say of each attached disk how it stands. ``chosen_by``: policy to the ids of the disks that it selects now."""
    of_disk: dict[str, list[Point]] = {}
    for point in points:
        of_disk.setdefault(point.disk_id, []).append(point)
    rows = (_row(disk, chosen_by, policies, of_disk.get(disk.disk_id, []), now) for disk in disks if disk.instance_id)
    return tuple(sorted(rows, key=lambda row: (row.finding is Finding.COVERED, row.instance_id, row.disk_id)))


def _row(
    disk: Disk, chosen_by: Mapping[str, frozenset[str]], policies: Mapping[str, Policy], points: list[Point], now: datetime
) -> Row:
    names = tuple(sorted(name for name, disk_ids in chosen_by.items() if disk.disk_id in disk_ids))
    newest = _newest(points)
    strictest = min(
        ((policies[name].objective_hours or 0.0, policies[name].asked) for name in names if policies[name].objective_hours),
        default=None,
    )
    if strictest is None:
        finding = Finding.COVERED if names else Finding.UNCOVERED
        return Row(disk.disk_id, disk.instance_id, names, newest, None, None, finding)
    hours, asked = strictest
    age = (now - newest[asked]).total_seconds() / 3600 if asked in newest else None
    finding = Finding.COVERED if age is not None and age <= hours else Finding.LATE
    return Row(disk.disk_id, disk.instance_id, names, newest, hours, age, finding)


def _newest(points: Iterable[Point]) -> dict[Level, datetime]:
    found: dict[Level, datetime] = {}
    for point in points:
        if not point.whole:
            continue
        for level in Level:
            if Level.NONE < level <= point.level:
                found[level] = max(point.created_at, found.get(level, point.created_at))
    return found


def fields_of(row: Row) -> dict[str, object]:
    """Flat fields of one row, for a table, a log line and an alarm on it; times in ISO 8601."""
    return {
        "finding": row.finding.value,
        "instance_id": row.instance_id,
        "disk_id": row.disk_id,
        "policies": " ".join(row.policies),
        "objective_hours": row.objective_hours,
        "age_hours": None if row.age_hours is None else round(row.age_hours, 2),
        **{level.word: row.newest[level].isoformat() for level in Level if level in row.newest},
    }

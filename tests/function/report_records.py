"""Synthetic history, written as the function writes it: run records, log lines, and the estate beside them.

The same numbers every time: a report that is looked at, measured or kept as a picture shows the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from quiesce import policies
from quiesce.coverage import Finding, Row
from quiesce.history.lines import Line, Record, record_of
from quiesce.model import Level

NOW = datetime(2026, 11, 26, 8, 0, tzinfo=timezone.utc)
POLICIES = policies.parse(
    """
    [policies.nightly]
    hold_limit_s = 10
    objective_hours = 30
    targets = { instances = ["ins-00lycyy6"] }
    [policies.hourly]
    hold_limit_s = 2
    acquire_limit_s = 0.5
    objective_hours = 2
    targets = { instances = ["ins-00lycyy7"] }
    """
)
REFUSALS = (
    "blocked: session 4711 of orders_app@10.0.0.9 has run for 312 s: ALTER TABLE orders ADD COLUMN note TEXT; wait for it",
    "not_durable: the redo log is on disk up to 918273645, and 918280012 was acknowledged",
    "snapshot of disk-{n:08x} not accepted: ResourceBusy: a snapshot of this disk is being made",
)


def instance(number: int) -> str:
    return f"ins-{number + 0x5A0F3C21:08x}"


def disk(number: int) -> str:
    return f"disk-{number * 7919 + 0x41C2:08x}"


Moments = list[tuple[float, dict[str, object]]]


@dataclass(frozen=True)
class History:
    """A source (history.sources.Source) of runs every ``every`` of ``instances`` instances, up to NOW, oldest first.

    Every 97th target is weaker, every 211th has failed, and every ``beyond``th hold is longer than its budget.
    """

    instances: int
    days: int
    every: timedelta = timedelta(hours=1)
    beyond: int = 541
    disks_each: int = 1

    @property
    def notes(self) -> list[str]:
        return []

    def records(self) -> Iterator[Record]:
        number, at = 0, NOW - timedelta(days=self.days)
        while (at := at + self.every) <= NOW:
            for place in range(self.instances):
                number += 1
                yield self.record(number, place, at)

    def record(self, number: int, place: int, at: datetime) -> Record:
        record = record_of(Line(at, self.fields(number, place, at)))
        assert record is not None
        return record

    def fields(self, number: int, place: int, at: datetime) -> dict[str, object]:
        """What ``Recorder.note`` writes of a target, which is the run record without its body."""
        policy = "hourly" if place % 3 else "nightly"
        limit_ms = POLICIES[policy].hold_limit_s * 1000
        held_ms = random.Random(number).lognormvariate(5.6 + (place % 7) / 5, 0.35)
        outcome, level, reason = "reached", "application", ""
        if number % self.beyond == 0:
            held_ms, outcome, level = limit_ms * 1.31, "weaker", "crash"
            reason = "held for longer than the hold limit allows"
        elif number % 97 == 0:
            outcome, level, reason = "weaker", "crash", REFUSALS[number % 2]
        elif number % 211 == 0:
            outcome, level, reason = "failed", "none", REFUSALS[2].format(n=place)
        return {
            "step": "target",
            "outcome": outcome,
            "run_id": f"{at:%Y%m%dt%H%M}-{number // self.instances:010x}",
            "policy": policy,
            "trigger": "timer",
            "instance_id": instance(place),
            "level": level,
            "level_asked": "application",
            "held_ms": round(min(held_ms, limit_ms * 1.31), 3),
            "release_confirmed": True,
            "reason": reason,
        }

    def lines(self, picks: Sequence[Record]) -> Iterator[Line]:
        for record in picks:
            yield from (Line(record.at, step) for step in steps(record, self.disks_each))

    def texts(self) -> Iterator[str]:
        """The same as a file of JSON lines: of each target its steps, its log line and its run record."""
        for number, record in enumerate(self.records(), 1):
            at = record.at or NOW
            yield from (json.dumps(step) for step in steps(record, self.disks_each))
            fields = self.fields(number, (number - 1) % self.instances, at)
            yield json.dumps(fields)
            yield json.dumps({**fields, "record": json.dumps(body(record, at))})


def body(record: Record, at: datetime) -> dict[str, Any]:
    """What a report needs of the body of a run record."""
    stall = {"name": "orders", "peak_writers": 7, "writer_s": 0.8, "samples": 12}
    certificate = {"issued_at": at.isoformat(timespec="milliseconds"), "stalls": [stall]}
    return {"targets": [{"status": record.status, "certificate": certificate}]}


def steps(record: Record, disks: int = 1) -> list[dict[str, object]]:
    """The log lines of a target, as ``steps_of`` makes them."""
    if record.held_ms is None:
        return []
    head = {"run_id": record.run_id, "policy": record.policy, "instance_id": record.instance_id, "lease_id": "f00d"}
    call_ms = record.held_ms - 24.0
    names = [disk(number) for number in range(disks)]
    asked: Moments = [
        (0.0, {"step": "check", "outcome": "ready"}),
        (4.1, {"step": "quiesce_asked"}),
        (1_320.0, {"step": "prepare", "outcome": "prepared", "hook_steps": "preflush=1203.4 arm=61.2"}),
        (1_640.0, {"step": "quiesce", "outcome": "held", "hook_steps": "lock=3.9 freeze=9.4 witness=1.2"}),
    ]
    sent: Moments = [(1_640.4 + n / 10, {"step": "create_sent", "disk_id": name}) for n, name in enumerate(names)]
    accepted: Moments = [
        (1_641.0 + call_ms * (0.8 + 0.2 * (n + 1) / disks), {"step": "create", "outcome": "accepted", "disk_id": name})
        for n, name in enumerate(names)
    ]
    own = {"outcome": "released", "held_ms": record.held_ms, "hook_steps": "witness=1.0 thaw=4.3 unlock=2.7"}
    released: Moments = [
        (1_641.5 + call_ms, {"step": "release_asked"}),
        (1_652.0 + call_ms, {"step": "release", **own}),
    ]
    moments = [*asked, *sent, *accepted, *released]
    return [{**head, "since_start_ms": round(at_ms, 3), **fields} for at_ms, fields in moments]


def rows(instances: int, disks_each: int = 1, *, well: bool = True) -> tuple[Row, ...]:
    """The estate; unless all is well, every 40th disk is late and every 67th covered by no policy."""
    found = []
    for number in range(instances * disks_each):
        policy = "hourly" if number % 3 else "nightly"
        hours = POLICIES[policy].objective_hours or 0.0
        finding = Finding.COVERED
        if not well and number % 40 == 3:
            finding = Finding.LATE
        elif not well and number % 67 == 5:
            finding = Finding.UNCOVERED
        age_hours = hours * (2.6 if finding is Finding.LATE else 0.4)
        newest = {
            Level.APPLICATION: NOW - timedelta(hours=age_hours),
            Level.FILESYSTEM: NOW - timedelta(hours=age_hours),
            Level.CRASH: NOW - timedelta(hours=hours * 0.4),
        }
        covered = finding is not Finding.UNCOVERED
        found.append(
            Row(
                disk_id=disk(number),
                instance_id=instance(number // disks_each),
                policies=(policy,) if covered else (),
                newest=newest if covered else {},
                objective_hours=hours if covered else None,
                age_hours=age_hours if covered else None,
                finding=finding,
            )
        )
    return tuple(found)

"""The report put together: how the estate stands now, and what the runs of the last days left behind."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

from quiesce import coverage
from quiesce.adapters.estate import made_here
from quiesce.adapters.tencent import Cloud
from quiesce.adapters.warm import Pool
from quiesce.estate import look
from quiesce.history.added_up import AddedUp
from quiesce.history.lines import Line, Record, text_of
from quiesce.history.sources import CloudSource, Nowhere, Source
from quiesce.history.timeline import timeline_of
from quiesce.html_report import render
from quiesce.html_report.model import Content, Disk, Timeline
from quiesce.policies import Policy
from quiesce.request import ReportQuestion
from quiesce.settings import Settings
from quiesce.words import _

LINES_AT_MOST = 50_000
"""How many records the function reads for a report, a page at a time; pages are not kept."""
WRITING_S = 20.0
"""Time of an invocation that is kept for the steps of the runs that are shown, and for the page itself."""


def served(question: ReportQuestion, policies: Mapping[str, Policy], settings: Settings, *, ends_s: float) -> str:
    """Write the page that the function answers with; ``ends_s``: when SCF ends it, on the monotonic clock.

    Raises CloudError.
    """
    now = datetime.now(timezone.utc)
    cloud = Cloud(settings.cloud)
    source: Source = Nowhere()
    if settings.cls_topic or settings.log_topic:
        source = CloudSource(
            cloud,
            settings.cls_topic,
            settings.log_topic,
            since=now - timedelta(days=question.days),
            now=now,
            limit=LINES_AT_MOST,
            enough=lambda: time.monotonic() > ends_s - WRITING_S,
        )
    return render.page(content(source, policies, estate(cloud, policies, now), now, question.days, cloud.region))


def estate(cloud: Cloud, policies: Mapping[str, Policy], now: datetime) -> tuple[coverage.Row, ...]:
    """Look at every disk of the region. Raises CloudError."""
    return look(cloud, policies, made_here(Pool(cloud, "cbs", "2017-03-12", time)), now)


def content(
    source: Source,
    policies: Mapping[str, Policy],
    rows: Sequence[coverage.Row],
    now: datetime,
    days: int,
    region: str = "",
) -> Content:
    """Add everything up. Raises CloudError or OSError, as the source does."""
    limits_ms = {name: policy.hold_limit_s * 1000 for name, policy in policies.items()}
    added_up = AddedUp(now, days, limits_ms)
    for record in source.records():
        added_up.add(record)
    picks = added_up.picks()
    timelines = _timelines(picks, source, limits_ms)
    return Content(
        made_at=now,
        days=days,
        days_per_period=added_up.days_per_period,
        region=region,
        disks=tuple(map(_disk, rows)),
        timelines=timelines,
        stalls=added_up.stalls(),
        troubles=added_up.troubles(),
        records=added_up.records,
        notes=(*source.notes, *_forgotten(added_up.let_go)),
    )


def _timelines(picks: Sequence[Record], source: Source, limits_ms: Mapping[str, float]) -> tuple[Timeline, ...]:
    of_target: dict[tuple[str, str], list[Line]] = {(record.run_id, record.instance_id): [] for record in picks}
    for line in source.lines(picks):
        lines = of_target.get((text_of(line.fields, "run_id"), text_of(line.fields, "instance_id")))
        if lines is not None:
            lines.append(line)
    return tuple(
        timeline_of(record, limits_ms.get(record.policy), of_target[record.run_id, record.instance_id]) for record in picks
    )


def _disk(row: coverage.Row) -> Disk:
    return Disk(
        finding=row.finding.value,
        instance_id=row.instance_id,
        disk_id=row.disk_id,
        policies=row.policies,
        objective_hours=row.objective_hours,
        age_hours=row.age_hours,
        newest={level.word: at for level, at in row.newest.items()},
    )


def _forgotten(count: int) -> tuple[str, ...]:
    return (_("{count} old kinds of failure are left out: there are too many.", count=count),) if count else ()

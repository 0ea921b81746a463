"""``quiesce list``, ``show`` and ``wait``: the sets that there are."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import click

from quiesce.adapters.estate import made_here
from quiesce.adapters.tencent import Cloud
from quiesce.adapters.warm import Pool
from quiesce.commands.connection import Given, connected, output_option
from quiesce.commands.exits import Exit
from quiesce.commands.output import document, progress, table
from quiesce.commands.output import show as show_rows
from quiesce.model import Level
from quiesce.sets import MadeSet, chosen, sets_of
from quiesce.settings import cloud_from_env
from quiesce.words import _

COLUMNS = ("run_id", "policy", "instance_id", "created_at", "age_hours", "level", "state", "percent", "disks", "held_ms")
POLL_S = 2.0


@click.command(name="list")
@click.option("--policy", default=None, help="Of this policy alone.")
@click.option("--instance", default=None, help="Of this instance alone.")
@click.option("--level", type=click.Choice([level.word for level in Level]), default=None, help="Of at least this level.")
@click.option("--last", type=click.IntRange(1), default=None, help="The newest so many.")
@output_option
@connected
def list_sets(
    policy: str | None, instance: str | None, level: str | None, last: int | None, output: str, given: Given
) -> None:
    """List the sets of snapshots in the region, newest first."""
    least = Level[level.upper()] if level else Level.NONE
    found = [
        one
        for one in listed(given)
        if policy in (None, one.policy) and instance in (None, one.instance_id) and one.level >= least
    ]
    show_rows("sets", [row_of(one) for one in found[:last]], output, COLUMNS)


@click.command()
@click.argument("run")
@output_option
@connected
def show(run: str, output: str, given: Given) -> None:
    """Show what a RUN made: its id, a snapshot's id, "latest", or "last-failed".

    Exit status: 0 every set of it can be restored, 1 one cannot.
    """
    found = chosen(listed(given), run)
    rows = [{**row_of(one), "snapshots": members_of(one)} for one in found]
    if output == "json":
        click.echo(document("set", rows))
    else:
        for one in found:
            _print(one)
    sys.exit(Exit.OK if all(one.state == "complete" and one.level > Level.UNKNOWN for one in found) else Exit.NOT_WELL)


@click.command()
@click.argument("run")
@click.option("--limit", "limit_s", type=float, default=3600.0, show_default=True, help="How long to wait, in seconds.")
@connected
def wait(run: str, limit_s: float, given: Given) -> None:
    """Wait until every snapshot of a RUN is complete; percent and time left are told on standard error.

    Exit status: 0 complete, 1 a part of it is gone, 6 not complete in time.
    """
    began_s, first = time.monotonic(), None
    while True:
        found = chosen(listed(given), run)
        percent = min(one.percent for one in found)
        first = percent if first is None else first
        if any(one.missing for one in found):
            progress(_("a part of it is no longer there"))
            sys.exit(Exit.NOT_WELL)
        if all(one.state != "creating" for one in found):
            progress(_("100 %, complete"))
            return
        elapsed_s = time.monotonic() - began_s
        progress(f"{percent} %{_time_left(percent - first, 100 - percent, elapsed_s)}")
        if elapsed_s + POLL_S > limit_s:
            sys.exit(Exit.UNFINISHED)
        time.sleep(POLL_S)


def _time_left(gained: int, left: int, elapsed_s: float) -> str:
    return _(", about {left_s} s left", left_s=round(left * elapsed_s / gained)) if gained > 0 else ""


def row_of(one: MadeSet) -> dict[str, Any]:
    """Write a set as flat fields."""
    age = datetime.now(timezone.utc) - one.created_at
    return {
        "run_id": one.run_id,
        "policy": one.policy,
        "instance_id": one.instance_id,
        "created_at": one.created_at.isoformat(),
        "age_hours": round(age.total_seconds() / 3600, 1),
        "level": one.level.word,
        "state": one.state,
        "percent": one.percent,
        "disks": len(one.members),
        "missing": one.missing,
        "held_ms": one.held_ms,
    }


def members_of(one: MadeSet) -> list[dict[str, Any]]:
    """Write the members of a set."""
    return [
        {
            "snapshot_id": member.point.snapshot_id,
            "disk_id": member.point.disk_id,
            "complete": member.point.complete,
            "percent": member.percent,
            "bound": member.point.bound,
            "tags": dict(member.tags),
        }
        for member in one.members
    ]


def _print(one: MadeSet) -> None:
    for key, value in row_of(one).items():
        click.echo(f"{key:12} {'' if value is None else value}")
    click.echo()
    rows = [{key: value for key, value in member.items() if key != "tags"} for member in members_of(one)]
    table(rows, ("snapshot_id", "disk_id", "complete", "percent", "bound"))
    click.echo()


def listed(given: Given) -> Sequence[MadeSet]:
    """List every set of the region, newest first. Raises CloudError."""
    cloud = Cloud(cloud_from_env(given.env))
    return sets_of(made_here(Pool(cloud, "cbs", "2017-03-12", time)))

"""``quiesce prune`` and ``quiesce coverage``: what is kept, what goes, and what is not protected."""

from __future__ import annotations

import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from quiesce import coverage as covering
from quiesce import policies, pruning
from quiesce.adapters.estate import made_here
from quiesce.adapters.tencent import Cloud
from quiesce.adapters.warm import Pool
from quiesce.commands.connection import Given, connected, output_option, policies_option
from quiesce.commands.exits import Exit
from quiesce.commands.output import show
from quiesce.estate import look
from quiesce.settings import cloud_from_env

PRUNED = ("policy", "instance_id", "disk_id", "snapshot_id", "created_at", "level", "fate", "reason")
COVERED = ("finding", "instance_id", "disk_id", "policies", "objective_hours", "age_hours", "application", "crash")


@click.command()
@policies_option
@click.option("--policy", "only", default=None, help="This policy alone; otherwise every one that has a retention table.")
@click.option("--dry-run", is_flag=True, help="Delete nothing; show the reason for every keep and delete.")
@output_option
@connected
def prune(file: Path, only: str | None, dry_run: bool, output: str, given: Given) -> None:
    """Delete what the policies' retention lets go.

    Never the newest application-consistent point of a disk, never what is copied, shared or bound to an image, and nothing
    that Quiesce did not make. Exit status: 0 done, 1 something could not be deleted.
    """
    known, cloud = policies.load(file), Cloud(cloud_from_env(given.env))
    made = made_here(Pool(cloud, "cbs", "2017-03-12", time))
    names = [only] if only else [name for name, policy in known.items() if policy.retention]
    now = datetime.now(timezone.utc)
    pruned = [
        (name, one)
        for name in names
        for one in pruning.carry_out(pruning.plan(name, policies.named(known, name), made, now), None if dry_run else cloud)
    ]
    show("pruned", [_pruned_row(name, one, dry_run=dry_run) for name, one in pruned], output, PRUNED)
    sys.exit(Exit.NOT_WELL if any(one.failure for _, one in pruned) else Exit.OK)


@click.command()
@policies_option
@output_option
@connected
def coverage(file: Path, output: str, given: Given) -> None:
    """Show every disk of the region with its newest point, and what no policy covers.

    Exit status: 0 every objective is met and every disk is covered, 1 otherwise.
    """
    known, cloud = policies.load(file), Cloud(cloud_from_env(given.env))
    made = made_here(Pool(cloud, "cbs", "2017-03-12", time))
    rows = look(cloud, known, made, datetime.now(timezone.utc))
    show("coverage", [covering.fields_of(row) for row in rows], output, COVERED)
    sys.exit(Exit.OK if all(row.finding is covering.Finding.COVERED for row in rows) else Exit.NOT_WELL)


def _pruned_row(name: str, one: pruning.Pruned, *, dry_run: bool) -> dict[str, Any]:
    fate = "keep" if one.keep else "delete" if dry_run else f"not deleted: {one.failure}" if one.failure else "deleted"
    return {
        "policy": name,
        "instance_id": one.point.instance_id,
        "disk_id": one.point.disk_id,
        "snapshot_id": one.point.snapshot_id,
        "created_at": one.point.created_at.isoformat(),
        "level": one.point.level.word,
        "fate": fate,
        "reason": "; ".join(one.reasons) or "no rule keeps it",
    }

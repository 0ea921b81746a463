"""``quiesce logs``: what a run wrote, step by step, from the log topic of the function or from a file."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import click

from quiesce.adapters.cls_search import LogSearch
from quiesce.adapters.tencent import Cloud
from quiesce.commands.connection import Given, connected
from quiesce.commands.exits import Exit
from quiesce.errors import RequestError
from quiesce.history.lines import line_of
from quiesce.naming import RUN_ID
from quiesce.settings import cloud_from_env
from quiesce.words import _

TOLD = ("step", "outcome", "instance_id", "disk_id", "snapshot_id", "level", "hook_steps", "held_ms", "reason")


@click.command()
@click.argument("run")
@click.option("--log-topic", envvar="QUIESCE_LOG_TOPIC", default=None, help="CLS topic of the function's log.")
@click.option(
    "--from", "history_file", type=click.Path(path_type=Path), default=None, help="File of log lines in the topic's place."
)
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help="How far back.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@connected
def logs(run: str, log_topic: str | None, history_file: Path | None, days: int, output: str, given: Given) -> None:
    """Show what a RUN wrote, step by step; as JSON one line a step.

    Exit status: 0 it wrote something, 1 nothing was found.
    """
    if not RUN_ID.fullmatch(run):
        raise RequestError(_("{run!r} is no run id; `quiesce list` shows those that there are", run=run), status=404)
    if history_file:
        found = _in_file(history_file, run)
    elif log_topic:
        found = _in_topic(Cloud(cloud_from_env(given.env)), log_topic, run, days)
    else:
        raise click.UsageError(_("give --log-topic, or --from"))
    steps = sorted(found, key=lambda step: step[0])
    for at_ms, fields in steps:
        click.echo(json.dumps(fields, ensure_ascii=False) if output == "json" else _told(at_ms, fields))
    sys.exit(Exit.OK if steps else Exit.NOT_WELL)


def _in_topic(cloud: Cloud, topic: str, run: str, days: int) -> Iterator[tuple[int, dict[str, object]]]:
    now = datetime.now(timezone.utc)
    search = LogSearch(cloud, topic)
    since_ms = round((now - timedelta(days=days)).timestamp() * 1000)
    for found in search.find(f'run_id:"{run}"', since_ms, time.time_ns() // 1_000_000):
        yield found.time, dict(line_of((found.log_json or "{}").encode()).fields)


def _in_file(file: Path, run: str) -> Iterator[tuple[int, dict[str, object]]]:
    for number, text in enumerate(file.read_bytes().splitlines()):
        try:
            fields = dict(line_of(text).fields)
        except ValueError:
            continue
        if fields.get("run_id") == run:
            yield number, fields


def _told(at_ms: int, fields: dict[str, object]) -> str:
    at = f"{datetime.fromtimestamp(at_ms / 1000, timezone.utc):%H:%M:%S}  " if at_ms > 1_000_000_000_000 else ""
    return at + "  ".join(str(fields[key]) for key in TOLD if fields.get(key) not in (None, ""))

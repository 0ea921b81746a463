"""``quiesce report``: the estate, the latest runs, the stalls and the failures, as one HTML file."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import click
import msgspec

from quiesce import policies, reporting
from quiesce.adapters.tencent import Cloud
from quiesce.commands.connection import Given, connected, policies_option
from quiesce.history.sources import CloudSource, FileSource, Nowhere, Source
from quiesce.html_report import render
from quiesce.html_report.model import Content
from quiesce.request import DEFAULT_DAYS, MAX_DAYS
from quiesce.settings import cloud_from_env
from quiesce.words import _

LINES_AT_MOST = 10_000_000


@click.command()
@policies_option
@click.option(
    "--output-file",
    type=click.Path(path_type=Path, allow_dash=True),
    default="report.html",
    show_default=True,
    help='Where to write it; "-" is standard output.',
)
@click.option(
    "--from",
    "history_file",
    type=click.Path(path_type=Path),
    default=None,
    help="File of JSON lines with run records, log lines of the function, or both.",
)
@click.option("--topic", default=None, help="CLS topic of the run records (QUIESCE_CLS_TOPIC of the function).")
@click.option("--log-topic", default=None, help="CLS topic of the function's log; the steps of runs are read there.")
@click.option("--days", type=click.IntRange(1, MAX_DAYS), default=DEFAULT_DAYS, show_default=True, help="How far back.")
@click.option("--format", "form", type=click.Choice(["html", "json"]), default="html", show_default=True)
@connected
def report(
    file: Path,
    output_file: Path,
    history_file: Path | None,
    topic: str | None,
    log_topic: str | None,
    days: int,
    form: str,
    given: Given,
) -> None:
    """Write the report: what is protected, what writers waited for, and what did not work.

    The HTML file loads nothing and runs no script. Exit status: 0 written, 4 a file or setting cannot be used, 5 the cloud
    refused or did not answer.
    """
    if history_file and (topic or log_topic):
        raise click.UsageError(_("the history is read from a file or from topics: give --from, or --topic and --log-topic"))
    now = datetime.now(timezone.utc)
    known, cloud = policies.load(file), Cloud(cloud_from_env(given.env))
    source = _source(cloud, history_file, topic, log_topic, now, days)
    rows = reporting.estate(cloud, known, now)
    _write(output_file, _shown(reporting.content(source, known, rows, now, days, cloud.region), form))


def _source(
    cloud: Cloud, history_file: Path | None, topic: str | None, log_topic: str | None, now: datetime, days: int
) -> Source:
    if history_file:
        return FileSource(history_file)
    if topic or log_topic:
        return CloudSource(cloud, topic, log_topic, since=now - timedelta(days=days), now=now, limit=LINES_AT_MOST)
    return Nowhere()


def _shown(content: Content, form: str) -> str:
    if form == "html":
        return render.page(content)
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"


def _write(file: Path, text: str) -> None:
    if str(file) == "-":
        click.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8")

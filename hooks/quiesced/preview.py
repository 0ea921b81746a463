"""What a hold would cover: the answer to ``check``. Looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quiesced.errors import Refused
from quiesced.messages import Application, CheckAnswer, Refusal, WrittenPath
from quiesced.quiescers.base import Quiescer, Report
from quiesced.survey import Surveyor


def preview(
    disk_ids: Sequence[str],
    quiescers: Sequence[Quiescer],
    surveyor: Surveyor,
    refusals: Sequence[Refusal],
    holds_of_run: int,
) -> CheckAnswer:
    """Collect every refusal at once, after those already known, and everything that a hold would cover."""
    survey = surveyor.survey(disk_ids)
    reports = [(quiescer, _report(quiescer)) for quiescer in quiescers]
    every = (*refusals, *survey.refusals, *(refusal for _, report in reports for refusal in report.refusals))
    return CheckAnswer(
        ready=not every,
        refusals=every,
        applications=tuple(_application(quiescer, report, surveyor) for quiescer, report in reports),
        filesystems=tuple(filesystem for target in survey.targets for filesystem in target.filesystems),
        holds_of_run=holds_of_run,
    )


def _report(quiescer: Quiescer) -> Report:
    try:
        return quiescer.check()
    except Refused as error:
        return Report("", (), (Refusal(error.code, str(error)),))


def _application(quiescer: Quiescer, report: Report, surveyor: Surveyor) -> Application:
    paths: tuple[WrittenPath, ...] = tuple(
        WrittenPath(role, path, surveyor.disk_of(Path(path))) for role, path in report.paths
    )
    return Application(quiescer.name, quiescer.engine, report.version, paths)

"""What a hold would cover: the answer to ``check``. Looks, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quiesced.errors import Refused
from quiesced.instance_hold import scene_of
from quiesced.messages import Application, CheckAnswer, Refusal, WrittenPath
from quiesced.quiescers.base import Quiescer, Report, Scene
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
    scene = scene_of(surveyor, disk_ids)
    reports = [(quiescer, _report(quiescer, scene)) for quiescer in quiescers]
    every = (*refusals, *survey.refusals, *(refusal for _, report in reports for refusal in report.refusals))
    return CheckAnswer(
        ready=not every,
        refusals=every,
        applications=tuple(_application(quiescer, report, surveyor) for quiescer, report in reports),
        filesystems=tuple(filesystem for target in survey.targets for filesystem in target.filesystems),
        holds_of_run=holds_of_run,
    )


def _report(quiescer: Quiescer, scene: Scene) -> Report:
    try:
        return quiescer.check(scene)
    except Refused as error:
        return Report("", (), (Refusal(error.code, str(error)),))


def _application(quiescer: Quiescer, report: Report, surveyor: Surveyor) -> Application:
    found = [*((*pair, False) for pair in report.paths), *((*pair, True) for pair in report.scratch)]
    paths = tuple(_written(role, path, scratch, surveyor) for role, path, scratch in found)
    return Application(quiescer.name, quiescer.engine, report.version, report.mode, report.mode_reason, paths)


def _written(role: str, path: str, scratch: bool, surveyor: Surveyor) -> WrittenPath:
    place = surveyor.place_of(Path(path))
    return WrittenPath(role, path, place.disk_id, place.mount_point, place.device, scratch)

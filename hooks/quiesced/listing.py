"""What a hold would cover, as lines for a terminal."""

from __future__ import annotations

from quiesced.messages import CheckAnswer, WrittenPath
from quiesced.words import _

_Row = tuple[str, str, str, str, str, str]


def lines(answer: CheckAnswer) -> list[str]:
    """Tabulate every path, filesystem, mode and refusal."""
    covered = {filesystem.disk_id for filesystem in answer.filesystems}
    rows: list[_Row] = [(_("APPLICATION"), _("WRITES"), _("PATH"), _("MOUNTED AT"), _("DEVICE"), _("DISK"))]
    for application in answer.applications:
        rows += [_row(application.name, path, covered) for path in application.paths]
    rows.append((_("FILESYSTEM"), _("TYPE"), "", _("MOUNTED AT"), "", _("DISK")))
    rows += [(_("freeze"), found.type, "", found.mount_point, "", found.disk_id) for found in answer.filesystems]
    widths = [max(_columns(row[column]) for row in rows) for column in range(6)]
    table = ["  ".join(padded(cell, width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    modes = [f"{_('mode')}  {one.name}: {one.mode}, {one.mode_reason}" for one in answer.applications if one.mode]
    return [*table, *modes, *(f"{_('refused')}  {refusal.code}: {refusal.message}" for refusal in answer.refusals)]


def outside(answer: CheckAnswer) -> list[tuple[str, WrittenPath]]:
    """List what applications write outside the disks, as (application, path); scratch does not count."""
    covered = {filesystem.disk_id for filesystem in answer.filesystems}
    found = [(application.name, path) for application in answer.applications for path in application.paths]
    return [(name, path) for name, path in found if path.disk_id not in covered and not path.scratch]


def padded(text: str, width: int) -> str:
    """Fill up with spaces to so many columns of a terminal."""
    return text + " " * (width - _columns(text))


def _row(name: str, path: WrittenPath, covered: set[str]) -> _Row:
    outside = _(" (scratch)") if path.scratch else _(" (NOT on a disk of this set)")
    disk = (path.disk_id or _("on no known disk")) + ("" if path.disk_id in covered else outside)
    return name, path.role, path.path, path.mount_point or "?", path.device or "?", disk


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes: a Chinese character takes two."""
    import unicodedata  # noqa: PLC0415 - the service has no use for it, and it takes memory

    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)

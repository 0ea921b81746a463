"""What a hold would cover, as lines for a terminal."""

from __future__ import annotations

from quiesced.messages import CheckAnswer, WrittenPath

_Row = tuple[str, str, str, str, str, str]


def lines(answer: CheckAnswer) -> list[str]:
    """Tabulate every path, filesystem, mode and refusal."""
    covered = {filesystem.disk_id for filesystem in answer.filesystems}
    rows: list[_Row] = [("APPLICATION", "WRITES", "PATH", "MOUNTED AT", "DEVICE", "DISK")]
    for application in answer.applications:
        rows += [_row(application.name, path, covered) for path in application.paths]
    rows.append(("FILESYSTEM", "TYPE", "", "MOUNTED AT", "", "DISK"))
    rows += [("freeze", found.type, "", found.mount_point, "", found.disk_id) for found in answer.filesystems]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    modes = [f"mode  {one.name}: {one.mode}, {one.mode_reason}" for one in answer.applications if one.mode]
    return [*table, *modes, *(f"refused  {refusal.code}: {refusal.message}" for refusal in answer.refusals)]


def outside(answer: CheckAnswer) -> list[tuple[str, WrittenPath]]:
    """List what applications write outside the disks, as (application, path); scratch does not count."""
    covered = {filesystem.disk_id for filesystem in answer.filesystems}
    found = [(application.name, path) for application in answer.applications for path in application.paths]
    return [(name, path) for name, path in found if path.disk_id not in covered and not path.scratch]


def _row(name: str, path: WrittenPath, covered: set[str]) -> _Row:
    outside = "" if path.disk_id in covered else " (scratch)" if path.scratch else " (NOT on a disk of this set)"
    disk = (path.disk_id or "on no known disk") + outside
    return name, path.role, path.path, path.mount_point or "?", path.device or "?", disk

"""The command ``quiesced``: serve | check | status | release | heal.

Exit status: 0 done, 1 refused or not reachable, 2 wrong usage or configuration.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from quiesced import __version__, wiring
from quiesced.caller import ask
from quiesced.config import Config
from quiesced.errors import ConfigError, QuiescedError
from quiesced.messages import PROTOCOL, CheckAnswer, WrittenPath
from quiesced.preview import preview
from quiesced.survey import LinuxSurveyor

DEFAULT_CONFIG = Path("/etc/quiesced/quiesced.toml")
_LINK = "virtio-"
"""How a CVM names its disks under /dev/disk/by-id (facts: virtio serial)."""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command and return its exit status."""
    given = _parser().parse_args(arguments)
    try:
        status: int = given.do(given)
    except ConfigError as error:
        for problem in error.problems:
            print(f"quiesced: {problem}", file=sys.stderr)
        return 2
    except (QuiescedError, OSError) as error:
        print(f"quiesced: {error}", file=sys.stderr)
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="quiesced", description="Holds an instance still while its disks are snapshotted.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, do, words in (
        ("serve", _serve, "answer the function until told to stop"),
        ("check", _check, "show what a hold would cover and what stands in its way; changes nothing"),
        ("status", _status, "show what the running daemon holds"),
        ("release", _release, "let go of a lease that the running daemon holds"),
        ("heal", _heal, "let go of what a daemon that has ended left held"),
    ):
        command = commands.add_parser(name, help=words)
        command.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="default: %(default)s")
        command.set_defaults(do=do)
        if name == "release":
            command.add_argument("lease_id")
        if name == "check":
            command.add_argument("--disk", action="append", metavar="DISK_ID", help="may be repeated")
    return parser


def _serve(given: argparse.Namespace) -> int:
    wiring.serve(given.config)
    return 0


def _heal(given: argparse.Namespace) -> int:
    wiring.heal(given.config)
    return 0


def _status(given: argparse.Namespace) -> int:
    config, _ = wiring.configured(given.config)
    answer = ask(config, "GET", "/v1/status", {})
    print(f"state           {answer['state']}")
    if answer["lease_id"]:
        print(f"lease           {answer['lease_id']} of run {answer['run_id']}")
        print(f"ends by itself  in {answer['hold_remaining_s']:.1f} s")
    return 0


def _release(given: argparse.Namespace) -> int:
    config, _ = wiring.configured(given.config)
    answer = ask(config, "POST", "/v1/release", {"protocol": PROTOCOL, "lease_id": given.lease_id})
    print(f"{answer['state']}: {answer['reason'] or 'held without a gap'}")
    return 0


def _check(given: argparse.Namespace) -> int:
    config, quiescers = wiring.configured(given.config)
    surveyor = LinuxSurveyor(config)
    disks = given.disk or _disks(config)
    answer = preview(disks, quiescers, surveyor, (), 0)
    if not given.disk:
        paths = [path for application in answer.applications for path in application.paths]
        written = [path.disk_id for path in paths if not path.scratch]
        chosen = [disk for disk in disks if disk in written]
        answer = preview(chosen, quiescers, surveyor, (), 0) if chosen else answer
    for line in _lines(answer):
        print(line)
    return 0 if answer.ready else 1


def _disks(config: Config) -> list[str]:
    """Every disk that the instance knows by id, without its partitions."""
    links = sorted(path.name for path in config.disk_by_id_dir.glob(f"{_LINK}disk-*"))
    return [name[len(_LINK) :] for name in links if "-part" not in name]


def _lines(answer: CheckAnswer) -> list[str]:
    covered = {filesystem.disk_id for filesystem in answer.filesystems}
    rows = [("APPLICATION", "WRITES", "PATH", "MOUNTED AT", "DEVICE", "DISK")]
    for application in answer.applications:
        rows += [_row(application.name, path, covered) for path in application.paths]
    rows.append(("FILESYSTEM", "TYPE", "", "MOUNTED AT", "", "DISK"))
    rows += [("freeze", found.type, "", found.mount_point, "", found.disk_id) for found in answer.filesystems]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    modes = [f"mode  {one.name}: {one.mode}, {one.mode_reason}" for one in answer.applications if one.mode]
    return [*table, *modes, *(f"refused  {refusal.code}: {refusal.message}" for refusal in answer.refusals)]


def _row(name: str, path: WrittenPath, covered: set[str]) -> tuple[str, str, str, str, str, str]:
    outside = "" if path.disk_id in covered else " (scratch)" if path.scratch else " (NOT on a disk of this set)"
    disk = (path.disk_id or "on no known disk") + outside
    return name, path.role, path.path, path.mount_point or "?", path.device or "?", disk

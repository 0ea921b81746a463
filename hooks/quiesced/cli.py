"""The command ``quiesced``: serve | check | rehearse | status | release | heal | when-idle | precompile.

Exit status: 0 done, 1 refused or not reachable, 2 wrong usage or configuration; ``rehearse`` has its own
(rehearsal.command), and ``when-idle`` that of what it ran.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from quiesced import __version__, listing, precompile, when_idle, wiring
from quiesced.caller import ask
from quiesced.disks import Disks
from quiesced.errors import ConfigError, QuiescedError
from quiesced.messages import PROTOCOL
from quiesced.preview import preview
from quiesced.rehearsal import options as rehearsal_options
from quiesced.survey import LinuxSurveyor
from quiesced.words import _

DEFAULT_CONFIG = Path("/etc/quiesced/quiesced.toml")


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
    parser = argparse.ArgumentParser(
        prog="quiesced", description=_("Holds an instance still while its disks are snapshotted.")
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, do, words in (
        ("serve", _serve, _("answer the function until told to stop")),
        ("check", _check, _("show what a hold would cover and what stands in its way; changes nothing")),
        (
            "rehearse",
            _rehearse,
            _("hold once without a snapshot, kill a holder once, and say whether holding is safe here"),
        ),
        ("status", _status, _("show what the running daemon holds")),
        ("release", _release, _("let go of a lease that the running daemon holds")),
        ("heal", _heal, _("let go of what a daemon that has ended left held")),
        ("precompile", precompile.run, _("write this program with its code compiled for this Python; for installers")),
        ("when-idle", when_idle.run, _("run a command when nothing is held, and let nothing be held meanwhile")),
    ):
        command = commands.add_parser(name, help=words)
        command.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help=_("default: %(default)s"))
        command.set_defaults(do=do)
        if name == "release":
            command.add_argument("lease_id")
        if name == "check":
            command.add_argument("--disk", action="append", metavar="DISK_ID", help=_("may be repeated"))
        if name == "rehearse":
            rehearsal_options.add(command)
        if name == "when-idle":
            when_idle.add_options(command)
        if name == "precompile":
            precompile.add_options(command)
    return parser


def _serve(given: argparse.Namespace) -> int:
    wiring.serve(given.config)
    return 0


def _heal(given: argparse.Namespace) -> int:
    wiring.heal(given.config)
    return 0


def _status(given: argparse.Namespace) -> int:
    config = wiring.configured(given.config)[0]
    answer = ask(config, "GET", "/v1/status", {})
    print(listing.padded(_("state"), 16) + answer["state"])
    if answer["lease_id"]:
        held = _("{lease_id} of run {run_id}", lease_id=answer["lease_id"], run_id=answer["run_id"])
        print(listing.padded(_("lease"), 16) + held)
        print(listing.padded(_("ends by itself"), 16) + _("in {left_s:.1f} s", left_s=answer["hold_remaining_s"]))
    return 0


def _release(given: argparse.Namespace) -> int:
    config = wiring.configured(given.config)[0]
    answer = ask(config, "POST", "/v1/release", {"protocol": PROTOCOL, "lease_id": given.lease_id})
    print(f"{answer['state']}: {answer['reason'] or _('held without a gap')}")
    return 0


def _rehearse(given: argparse.Namespace) -> int:
    from quiesced.rehearsal import command  # noqa: PLC0415 - the service has no use for it, and it takes memory

    return command.run(given)


def _check(given: argparse.Namespace) -> int:
    config, quiescers = wiring.configured(given.config)
    surveyor = LinuxSurveyor(config)
    disks = given.disk or Disks(config.disk_by_id_dir).attached()
    answer = preview(disks, quiescers, surveyor, (), 0)
    if not given.disk:
        paths = [path for application in answer.applications for path in application.paths]
        written = [path.disk_id for path in paths if not path.scratch]
        chosen = [disk for disk in disks if disk in written]
        answer = preview(chosen, quiescers, surveyor, (), 0) if chosen else answer
    for line in listing.lines(answer):
        print(line)
    return 0 if answer.ready else 1

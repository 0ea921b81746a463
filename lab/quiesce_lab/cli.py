"""The command ``quiesce-lab``: up, down, run and faults."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from quiesce_lab import cleanup, demo, embedded, needs
from quiesce_lab.cloud import control
from quiesce_lab.errors import LabError
from quiesce_lab.layouts import LAYOUTS
from quiesce_lab.machine import default_state_dir
from quiesce_lab.site import CONTROL
from quiesce_lab.stage import Stage, stage


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it did what it says, 1 when not, 2 for wrong usage, 130 when interrupted."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status: int = given.do(given)
    except LabError as error:
        print(f"quiesce-lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("quiesce-lab: interrupted; everything it made is gone", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="quiesce-lab", description="A small Tencent Cloud on this machine.")
    parser.add_argument("--state-dir", type=Path, default=default_state_dir(), help="default: %(default)s")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="snapshots under load, restored and compared")
    run.add_argument("--output", type=Path, help="write the results here as JSON")
    run.add_argument("--engine", choices=sorted(LAYOUTS), default=demo.MARIADB, help="default: %(default)s")
    run.set_defaults(do=_run)
    up = commands.add_parser("up", help="bring the lab up and keep it until Ctrl-C")
    up.add_argument("--disks", type=int, default=1, choices=range(1, 5))
    up.set_defaults(do=_up)
    commands.add_parser("down", help="undo what a lab left on this machine").set_defaults(do=_down)
    faults = commands.add_parser("faults", help="make the running lab's cloud misbehave")
    faults.add_argument("request", nargs="?", help='{"action": "CreateSnapshot", "fault": {"kind": "lost_response"}}')
    faults.add_argument("--clear", action="store_true", help="forget every fault")
    faults.set_defaults(do=_faults)
    return parser


def _run(given: argparse.Namespace) -> int:
    look = needs.look()
    if not look.met:
        print(f"Running the embedded form (SQLite on a directory), because this machine lacks: {look.reason}")
        return 0 if embedded.run(given.state_dir, given.output, _say) else 1
    kept = demo.run(given.state_dir, given.output, _say, given.engine)
    _say("\nQuiesce lost nothing." if kept else "\nQuiesce did NOT keep its word; see the figures.")
    return 0 if kept else 1


def _up(given: argparse.Namespace) -> int:
    look = needs.look()
    if not look.met:
        raise LabError(f"this machine lacks: {look.reason}")
    with stage(given.state_dir, disks=given.disks) as here:
        here.host.load.start()
        _describe(here)
        _wait_for_interrupt()
    return 0


def _describe(here: Stage) -> None:
    _say(f"cloud      https://{here.site.endpoint}  (CA {here.site.authority.ca_pem})")
    _say(f"instance   {here.host.instance.instance_id}, disks {', '.join(here.host.disk_ids)}, under load")
    _say(f"database   mariadb --socket={here.host.database.socket} --user=root")
    _say(f"daemon     quiesced check --config {here.daemon.config}")
    _say("Ctrl-C takes everything down again.")


def _wait_for_interrupt() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        _say("taking everything down")


def _down(given: argparse.Namespace) -> int:
    cleanup.down(given.state_dir)
    return 0


def _faults(given: argparse.Namespace) -> int:
    socket = given.state_dir / CONTROL
    if given.clear:
        control.ask(socket, "faults.clear")
    if given.request is not None:
        try:
            control.ask(socket, "faults.set", json.loads(given.request))
        except ValueError as error:
            raise LabError(f"the fault is not JSON: {error}") from error
    print(json.dumps(control.ask(socket, "faults.list"), indent=2))
    return 0


def _say(words: str) -> None:
    print(words, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that everything is undone."""
    raise KeyboardInterrupt

"""Starting a server of the lab: it answers within its time, or the error has its own last words."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from quiesce_lab.errors import LabError
from quiesce_lab.machine import Machine
from quiesce_lab.processes import Command, Process

LOOK_EVERY_S = 0.05


def last_lines(log: Path, count: int) -> tuple[str, ...]:
    """Last lines of a log, none when it is not there."""
    return tuple(log.read_text(errors="replace").splitlines()[-count:]) if log.exists() else ()


def start_and_wait(machine: Machine, command: Command, answers: Callable[[], bool], limit_s: float) -> Process:
    """Start a server and wait until it answers. Raises LabError, and the server is ended, when it does not."""
    process = machine.start(command)
    give_up_at = time.monotonic() + limit_s
    while not answers():
        if not process.running or time.monotonic() > give_up_at:
            process.kill()
            raise LabError(f"{command.name} does not start: {' | '.join(last_lines(command.log, 5))}")
        time.sleep(LOOK_EVERY_S)
    return process

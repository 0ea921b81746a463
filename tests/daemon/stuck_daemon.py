"""A daemon whose freezes wait for a word: ``python -m tests.daemon.stuck_daemon <root> <by-id> <limit> <ids>``.

Prints ``freezing <guardian pid>`` when all is armed, freezes for real after a line on its input, then waits for its end.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path

from quiesced.freeze import LinuxIoctls
from quiesced.guardian_client import Guarded, GuardianProcess
from quiesced.keeper import Keeper
from tests.daemon.fakes import config, quiesce


class PatientIoctls(LinuxIoctls):
    """The kernel's calls; the first freezes wait until they are told to go on."""

    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say
        self._said = threading.Lock()
        self._go = threading.Event()

    def freeze(self, fd: int) -> None:
        """See Ioctls."""
        if self._said.acquire(blocking=False):
            self._say()
            sys.stdin.readline()
            self._go.set()
        self._go.wait()
        super().freeze(fd)


def main(root: str, by_id_dir: str, hold_limit_s: str, *disk_ids: str) -> None:
    """Try to hold these disks."""
    guardians: list[GuardianProcess] = []

    def start_guardian(guarded: Guarded, deadline_s: float, on_lost: Callable[[], None]) -> GuardianProcess:
        guardians.append(GuardianProcess(guarded, deadline_s, on_lost))
        return guardians[-1]

    def say() -> None:
        sys.stdout.write(f"freezing {guardians[0].pid}\n")
        sys.stdout.flush()

    told = config(Path(root), by_id_dir=Path(by_id_dir))
    keeper = Keeper(told, [], ioctls=PatientIoctls(say), start_guardian=start_guardian)
    limit_s = float(hold_limit_s)
    keeper.quiesce(quiesce(disks=disk_ids, acquire_limit_s=limit_s, hold_limit_s=limit_s))
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])

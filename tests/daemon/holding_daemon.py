"""A daemon that holds, for tests that kill it: ``python -m tests.daemon.holding_daemon <root> <by-id> <limit> <ids>``.

Prints ``held <guardian pid> <when the limit is over, on CLOCK_MONOTONIC>`` or ``refused <code>``, then waits for its end.
A line on its input makes it take all the memory that there is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from quiesced.guardian_client import Guarded, GuardianProcess
from quiesced.keeper import Keeper
from tests.daemon.fakes import config, quiesce


def main(root: str, by_id_dir: str, hold_limit_s: str, *disk_ids: str) -> None:
    """Hold these disks and say so."""
    guardians = []

    def start_guardian(guarded: Guarded, deadline_s: float, on_lost: Callable[[], None]) -> GuardianProcess:
        guardians.append(GuardianProcess(guarded, deadline_s, on_lost))
        return guardians[-1]

    keeper = Keeper(config(Path(root), by_id_dir=Path(by_id_dir), expedite=True), [], start_guardian=start_guardian)
    answer = keeper.quiesce(quiesce(disks=disk_ids, acquire_limit_s=5.0, hold_limit_s=float(hold_limit_s)))
    if answer.refusal:
        said = f"refused {answer.refusal.code}"
    else:
        said = f"held {guardians[0].pid} {time.monotonic() + answer.hold_remaining_s}"
    sys.stdout.write(said + "\n")
    sys.stdout.flush()
    taken = []
    while sys.stdin.readline():
        while True:
            taken.append(b"x" * (1 << 20))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The daemon that is killed: the keeper with its guardian, kernel, disks and database, without the HTTP in front.

``python -m bench.guardian.holder <state dir> <by-id dir> <database socket> <disk ids>`` reads lines ``hold <limit in s>``
and answers each with ``held <end of the limit on CLOCK_MONOTONIC>`` or ``refused <why>``; it ends with its input.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from quiesced.config import AllowedLimits, Config, Listen
from quiesced.guardian_client import Guarded, GuardianProcess
from quiesced.keeper import Keeper
from quiesced.messages import QuiesceRequest
from quiesced.quiescers.mysql.quiescer import MysqlQuiescer
from quiesced.quiescers.mysql.session import Options

ACQUIRE_LIMIT_S = 5.0
IDLE_PAUSE_S = 0.005


class WatchedGuardian(GuardianProcess):
    """The guardian process, with the deadline that it was told last in plain sight."""

    def __init__(self, guarded: Guarded, deadline_s: float, on_lost: Callable[[], None]) -> None:
        self.deadline_s = deadline_s
        super().__init__(guarded, deadline_s, on_lost)

    def bring_forward(self, deadline_s: float) -> None:
        """See GuardianProcess."""
        self.deadline_s = min(self.deadline_s, deadline_s)
        super().bring_forward(deadline_s)


def main(state_dir: str, by_id_dir: str, database: str, *disk_ids: str) -> None:
    """Hold whenever told to."""
    guardians: list[WatchedGuardian] = []

    def start_guardian(guarded: Guarded, deadline_s: float, on_lost: Callable[[], None]) -> WatchedGuardian:
        guardians.append(WatchedGuardian(guarded, deadline_s, on_lost))
        return guardians[-1]

    orders = MysqlQuiescer("orders", Options(Path(database), "root", "", long_statement_s=5.0, idle_transaction_s=5.0))
    keeper = Keeper(_config(Path(state_dir), Path(by_id_dir)), [orders], start_guardian=start_guardian)
    keeper.heal()
    for number in itertools.count():
        words = sys.stdin.readline().split()
        if not words:
            return
        while keeper.status().state != "idle":  # the hold before has only just expired
            time.sleep(IDLE_PAUSE_S)
        lease_id = f"lease-{os.getpid()}-{number}"
        answer = keeper.quiesce(QuiesceRequest(1, lease_id, lease_id, 0, disk_ids, ACQUIRE_LIMIT_S, float(words[1])))
        said = f"refused {answer.refusal.message}" if answer.refusal else f"held {guardians[-1].deadline_s!r}"
        sys.stdout.write(said + "\n")
        sys.stdout.flush()


def _config(state_dir: Path, by_id_dir: Path) -> Config:
    return Config(
        listen=Listen("127.0.0.1", 0, state_dir / "unused.pem", state_dir / "unused.key", None),
        keys={},
        limits=AllowedLimits(ACQUIRE_LIMIT_S, 60.0),
        disk_by_id_dir=by_id_dir,
        never_freeze=(),
        state_dir=state_dir,
        expedite_freeze=True,
        applications=(),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

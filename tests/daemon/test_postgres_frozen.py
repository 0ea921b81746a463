"""Looking at a real PostgreSQL server whose filesystem is frozen: a look may need no write, or it waits for the thaw."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import postgres
from tests.daemon.loopdisks import LoopDisks, loop_disks, needs_root
from tests.daemon.postgres import Server, needs_postgres
from tests.daemon.postgres_shop import INSERT, base, held, open_shop

pytestmark = [pytest.mark.lab, needs_postgres, needs_root]
__all__ = ["base"]  # the fixture

STATISTICS_EVERY_S = 1.0
"""How long a backend keeps what it has counted to itself at least (PGSTAT_MIN_INTERVAL)."""


@pytest.fixture(scope="module")
def disks(base: Path) -> Iterator[LoopDisks]:
    where = base / "disks"
    where.mkdir()
    with loop_disks(where, ["ext4"], size_mib=256) as disks:
        yield disks


@pytest.fixture(scope="module")
def server(base: Path, disks: LoopDisks) -> Iterator[Server]:
    datadir = postgres.install(disks.disks[0].mount_point / "cluster")
    with postgres.running(datadir, run_dir=base / "frozen") as server:  # its shared memory lies in its data directory
        open_shop(server)
        yield server


def let_statistics_become_due() -> None:
    """Let that time pass; the server shows nowhere that it has."""
    time.sleep(1.2 * STATISTICS_EVERY_S)


@pytest.mark.parametrize("due", ["before the first look", "between the looks"])
def test_what_a_session_has_counted_keeps_no_look_waiting(server: Server, disks: LoopDisks, due: str) -> None:
    server.ask(INSERT)
    with held(server, "freeze") as hold:
        if due == "before the first look":
            let_statistics_become_due()
        with disks.frozen():
            first = hold.witness()
            if due == "between the looks":
                let_statistics_become_due()
            second = hold.witness()

    assert (first.lock_shown, first.session_alive) == (True, True), first.lock_evidence
    assert (second.lock_shown, second.position) == (True, first.position), second.lock_evidence
    assert "silent" not in second.lock_evidence

"""Looking at a real MariaDB replica whose filesystem is frozen while its primary goes on: nobody may wait for the thaw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from quiesced.quiescers.mysql.session import AUTO
from tests.daemon.loopdisks import LoopDisks, loop_disks, needs_root
from tests.daemon.mariadb import Server, needs_mariadb, rows
from tests.daemon.mysql_holds import INSERT, held
from tests.daemon.replica_pair import Pair
from tests.daemon.test_mysql_replica import open_pair
from tests.waiting import again_and_again, wait_until

pytestmark = [pytest.mark.lab, needs_mariadb, needs_root]


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopDisks]:
    with loop_disks(tmp_path_factory.mktemp("disks"), ["ext4"], size_mib=512) as disks:
        yield disks


@pytest.fixture(scope="module")
def pair(disks: LoopDisks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with open_pair(tmp_path_factory.mktemp("primary") / "data", disks.disks[0].mount_point / "data") as made:
        yield made


@contextmanager
def writing(server: Server) -> Iterator[None]:
    with server.connect() as connection, again_and_again(lambda: rows(connection, INSERT)):
        yield


def test_a_replica_that_cannot_store_what_its_primary_sends_is_looked_at_all_the_same(pair: Pair, disks: LoopDisks) -> None:
    with writing(pair.primary), held(pair.replica, mode=AUTO) as hold, disks.frozen():
        first = hold.witness()
        second = hold.witness()
    assert (first.mode, first.lock_shown) == ("replica", True), first.lock_evidence
    assert first.position["applied"]
    assert second == first
    wait_until(lambda: pair.applies() and pair.in_step(), timeout_s=20)

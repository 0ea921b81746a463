"""A real MySQL server on a real disk: the freeze stops its commits, and what is on the disk is what the witness says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesced.messages import Witness
from quiesced.witness import gap_between, refusal_of
from tests.daemon.loopdisks import LoopDisks, loop_disks, needs_root
from tests.daemon.mariadb import Server
from tests.daemon.mysql_holds import held
from tests.mysql import server as mysql
from tests.mysql.conftest import ACCOUNT, grants
from tests.mysql.writers import Writers
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_root]
TAGGED = "AUTOMATIC:nightly"


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopDisks]:
    with loop_disks(tmp_path_factory.mktemp("disks"), ["ext4"], size_mib=768) as disks:
        yield disks


GTIDS = ("--skip-networking", "--log-bin=binlog", "--gtid-mode=ON", "--enforce-gtid-consistency=ON")


@pytest.fixture(scope="module")
def server(disks: LoopDisks) -> Iterator[Server]:
    datadir = disks.disks[0].mount_point / "data"
    mysql.install(datadir)
    with mysql.running(datadir, *GTIDS) as server:
        server.ask("CREATE DATABASE shop")
        server.ask("CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, item TEXT) ENGINE=InnoDB")
        for statement in (ACCOUNT, *grants()):
            server.ask(statement)
        yield server


@pytest.mark.parametrize("relaxed", [False, True], ids=["durable", "relaxed"])
@pytest.mark.parametrize("gtid_next", ["AUTOMATIC", TAGGED])
def test_the_disk_has_what_was_acknowledged_and_stands_where_the_witness_says(
    server: Server, disks: LoopDisks, tmp_path: Path, relaxed: bool, gtid_next: str
) -> None:
    server.ask(f"SET GLOBAL innodb_flush_log_at_trx_commit = {2 if relaxed else 1}")
    server.ask(f"SET GLOBAL sync_binlog = {0 if relaxed else 1}")
    before = server.value("SELECT COUNT(*) FROM shop.orders")
    writers = Writers(server, gtid_next)
    with writers:
        wait_until(lambda: writers.acked > 200, timeout_s=30)
        with held(server, mode="backup_lock") as hold, disks.frozen():
            first = hold.witness()
            wait_until(lambda: hold.watched().peak_writers > 0)
            acked = writers.acked
            copy = Path(shutil.copytree(server.datadir, tmp_path / "copy", ignore=shutil.ignore_patterns("*.sock", "pid")))
            second = hold.witness()
        wait_until(lambda: writers.acked > acked + 50, timeout_s=20)
    assert refusal_of(Witness((first,), ())) is None, first
    assert gap_between(Witness((first,), ()), Witness((second,), ())) == ""
    with mysql.running(copy, *GTIDS) as restored:
        rows = restored.value("SELECT COUNT(*) FROM shop.orders") - before
        assert acked <= rows <= acked + len(writers.threads)
        assert restored.ask("CHECK TABLE shop.orders EXTENDED")[0][3] == "OK"
        assert restored.value("SELECT @@GLOBAL.gtid_executed").replace("\n", "") == first.position["gtid"]

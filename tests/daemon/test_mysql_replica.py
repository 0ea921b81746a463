"""A real MariaDB replica is held: its SQL thread stands still, and afterwards is as it was before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quiesced.quiescers.base import HeldBy
from quiesced.quiescers.mysql.session import AUTO, REPLICA
from tests.daemon import mariadb
from tests.daemon.mariadb import Server, needs_mariadb
from tests.daemon.mysql_holds import budget, held, in_background, prepare, quiescer
from tests.daemon.replica_pair import Pair
from tests.daemon.scenes import SCENE
from tests.free_ports import free_port
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_mariadb]

INSERT = "INSERT INTO shop.orders (item) VALUES ('book')"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    first = tmp_path_factory.mktemp("pair") / "primary"
    with open_pair(first, first.with_name("replica")) as made:
        yield made


@contextmanager
def open_pair(first: Path, second: Path) -> Iterator[Pair]:
    """A primary and its replica in two new directories, and the account that the daemon has on the replica."""
    mariadb.install(first)
    shutil.copytree(first, second)
    port = free_port()
    reachable = ("--skip-networking=0", "--bind-address=127.0.0.1", f"--port={port}")
    with (
        mariadb.running(first, "--log-bin=binlog", "--server-id=1", *reachable) as primary,
        mariadb.running(second, "--log-bin=binlog", "--server-id=2", "--log-slave-updates=1") as replica,
    ):
        primary.ask("CREATE USER replication@'%' IDENTIFIED BY 'a password'")
        primary.ask("GRANT REPLICATION SLAVE ON *.* TO replication@'%'")
        replica.ask(
            f"CHANGE MASTER TO master_host='127.0.0.1', master_port={port}, master_user='replication', "
            "master_password='a password', master_use_gtid=slave_pos"
        )
        replica.ask("START SLAVE")
        replica.ask("CREATE USER quiesced@localhost IDENTIFIED BY 'a password'")
        replica.ask("GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO quiesced@localhost")
        replica.ask("GRANT REPLICATION SLAVE ADMIN, SUPER ON *.* TO quiesced@localhost")
        primary.ask("CREATE DATABASE shop")
        primary.ask("CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, item TEXT) ENGINE=InnoDB")
        made = Pair(primary, replica, "SLAVE", lambda: in_step(primary, replica), lambda: applies(replica))
        wait_until(made.in_step)
        yield made


def in_step(primary: Server, replica: Server) -> bool:
    return bool(primary.value("SELECT @@gtid_binlog_pos") == replica.value("SELECT @@gtid_slave_pos"))


def applies(replica: Server) -> bool:
    """Whether the SQL thread runs."""
    with replica.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW SLAVE STATUS")
        names = [column[0] for column in cursor.description]
        row = cursor.fetchone()
        assert row is not None
        return bool(row[names.index("Slave_SQL_Running")] == "Yes")


def test_a_replica_is_known_as_one_and_check_leaves_it_running(pair: Pair) -> None:
    replica = pair.replica
    report = quiescer(replica, mode=AUTO).check(SCENE)
    assert report.refusals == ()
    assert (report.mode, "replicates" in report.mode_reason) == (REPLICA, True)
    assert pair.applies()


def test_nothing_is_applied_while_it_is_held_and_all_of_it_afterwards(pair: Pair) -> None:
    primary, replica = pair.primary, pair.replica
    with held(replica, mode=AUTO) as hold:
        before = hold.witness()
        primary.ask(INSERT)
        after = hold.witness()
        assert not pair.applies()
    assert before == after
    assert (before.mode, hold.held_by, before.lock_shown) == (REPLICA, HeldBy.LOCK, True)
    assert before.position["applied"].startswith("binlog.")
    wait_until(lambda: pair.applies() and pair.in_step())


def test_a_sql_thread_that_was_stopped_before_stays_stopped(pair: Pair) -> None:
    replica = pair.replica
    replica.ask(f"STOP {pair.word} SQL_THREAD")
    try:
        with held(replica, mode=REPLICA) as hold:
            assert hold.witness().mode == REPLICA
        assert not pair.applies()
    finally:
        replica.ask(f"START {pair.word} SQL_THREAD")


def test_a_hold_that_is_refused_starts_the_sql_thread_again(pair: Pair) -> None:
    replica = pair.replica
    replica.ask("CREATE TABLE IF NOT EXISTS shop.own (id INT PRIMARY KEY, item TEXT) ENGINE=MyISAM")
    hold = prepare(replica, mode=AUTO)
    assert not pair.applies()
    replica.ask("INSERT INTO shop.own VALUES (1, '')")
    with (
        in_background(replica, "UPDATE shop.own SET item = SLEEP(20)"),
        pytest.raises(Exception, match="not granted in time"),
    ):
        hold.quiesce(budget(acquire_s=0.3))
    wait_until(pair.applies)
    replica.ask("DROP TABLE shop.own")


def test_the_next_daemon_starts_what_a_dead_one_had_stopped(pair: Pair) -> None:
    replica = pair.replica
    leftovers: list[dict[str, object]] = []
    hold = prepare(replica, leftovers, mode=AUTO)
    hold.quiesce(budget())
    assert not pair.applies()
    quiescer(replica, mode=AUTO).heal(leftovers[-1])
    wait_until(pair.applies)
    hold.release()
    assert pair.applies()


def test_without_the_right_to_stop_it_the_grant_is_named(pair: Pair) -> None:
    replica = pair.replica
    replica.ask("CREATE OR REPLACE USER looker@localhost IDENTIFIED BY 'a password'")
    replica.ask("GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO looker@localhost")
    refused = quiescer(replica, user="looker", mode=AUTO).check(SCENE).refusals
    assert [(refusal.code, "GRANT REPLICATION SLAVE ADMIN" in refusal.message) for refusal in refused] == [
        ("application_unreachable", True)
    ]
    assert pair.applies()

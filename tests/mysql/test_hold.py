"""A real MySQL server is held and witnessed, and nothing stays whatever ends it."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymysql.connections import Connection

from quiesced.messages import Witness
from quiesced.quiescers.mysql import redo
from quiesced.quiescers.mysql.session import Session
from quiesced.witness import gap_between, refusal_of
from tests.daemon.mariadb import Server, rows
from tests.daemon.mysql_holds import INSERT, budget, flush_log, held, in_background, options, prepare, quiescer, writable
from tests.daemon.test_mysql_hold import (
    test_a_cancelled_lease_ends_the_wait_for_the_lock,
    test_a_hold_that_was_let_go_shows_no_lock,
    test_a_statement_that_blocks_the_lock_is_named_and_the_writers_go_on,
    test_the_server_lets_go_by_itself_when_the_holder_says_nothing,
    test_the_sockets_are_those_whose_shutdown_ends_the_hold,
    test_the_witness_says_so_when_an_administrator_killed_the_session,
    test_writers_wait_while_it_holds_and_go_on_when_it_lets_go,
)
from tests.mysql import server as mysql
from tests.mysql.writers import Writers
from tests.waiting import wait_until

pytestmark = pytest.mark.lab
__all__ = [
    "test_a_cancelled_lease_ends_the_wait_for_the_lock",
    "test_a_hold_that_was_let_go_shows_no_lock",
    "test_a_statement_that_blocks_the_lock_is_named_and_the_writers_go_on",
    "test_the_server_lets_go_by_itself_when_the_holder_says_nothing",
    "test_the_sockets_are_those_whose_shutdown_ends_the_hold",
    "test_the_witness_says_so_when_an_administrator_killed_the_session",
    "test_writers_wait_while_it_holds_and_go_on_when_it_lets_go",
]
"""What holds for MariaDB, too."""


def test_two_looks_show_one_hold_with_lock_position_and_durability(server: Server) -> None:
    server.ask(INSERT)
    with held(server) as hold, in_background(server, INSERT):
        first, second = hold.witness(), hold.witness()
    assert refusal_of(Witness((first,), ())) is None
    assert gap_between(Witness((first,), ()), Witness((second,), ())) == ""
    assert set(first.position) >= {"log_file", "log_offset"}
    assert "metadata_locks lists GLOBAL and COMMIT as granted" in first.lock_evidence
    wait_until(lambda: writable(server))
    with held(server) as hold:
        assert hold.witness().position != first.position


@pytest.mark.parametrize("times", [1, 2])
def test_released_any_number_of_times_the_setting_is_what_it_was_and_no_session_is_left(server: Server, times: int) -> None:
    server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
    try:
        hold = prepare(server)
        assert flush_log(server) == 1
        hold.quiesce(budget())
        for _ in range(times):
            hold.release()
        assert flush_log(server) == 2
    finally:
        server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    wait_until(lambda: not server.sessions())


def test_what_a_dead_daemon_left_is_healed_by_the_next(server: Server) -> None:
    server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    leftovers: list[dict[str, object]] = []
    hold = prepare(server, leftovers)
    hold.quiesce(budget())
    try:
        assert quiescer(server).remains(leftovers[-1])
        quiescer(server).heal(leftovers[-1])
        wait_until(lambda: writable(server))
        assert flush_log(server) == 0
        wait_until(lambda: quiescer(server).remains(leftovers[-1]) == ())
    finally:
        hold.release()
        server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 1")


def test_the_redo_log_is_seen_on_disk_up_to_what_was_written_under_the_lock(server: Server) -> None:
    """Its status variables are of some milliseconds ago, and called a log flushed that was not."""
    control = Session(options(server))
    flavor = control.flavor()
    with closing(control), server.connect() as lock, Writers(server) as writers:
        for _ in range(10):
            wanted = writers.acked + 50
            wait_until(lambda: writers.acked > wanted, timeout_s=20)  # noqa: B023 - waited for at once
            rows(lock, "FLUSH TABLES WITH READ LOCK")
            written = shown_by_engine(lock)
            seen = redo.wait_until_durable(control, flavor, budget().acquire_left_s)
            rows(lock, "UNLOCK TABLES")
            assert seen.flushed >= seen.written >= written


def shown_by_engine(session: Connection[Any]) -> int:
    return int(str(rows(session, "SHOW ENGINE INNODB STATUS")[0][2]).rpartition("Log sequence number")[2].split()[0])


@pytest.mark.parametrize("durability", [0, 1, 2])
def test_what_was_acknowledged_before_a_hold_and_nothing_after_is_in_a_copy_made_in_it(
    durability: int, tmp_path: Path
) -> None:
    datadir = tmp_path / "data"
    mysql.install(datadir)
    with mysql.running(datadir, "--skip-networking", f"--innodb-flush-log-at-trx-commit={durability}") as server:
        server.ask("CREATE DATABASE shop")
        server.ask("CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, item TEXT) ENGINE=InnoDB")
        for statement in (
            "CREATE USER quiesced@localhost IDENTIFIED BY 'a password'",
            "GRANT ALL ON *.* TO quiesced@localhost",
        ):
            server.ask(statement)
        writers = Writers(server)
        with writers:
            wait_until(lambda: writers.acked > 200, timeout_s=20)
            with held(server) as hold:
                acked = writers.settled()
                copy = Path(shutil.copytree(datadir, tmp_path / "copy", ignore=shutil.ignore_patterns("*.sock", "pid")))
                position = hold.witness().position
            wait_until(lambda: writers.acked > acked + 50, timeout_s=20)
    with mysql.running(copy, "--skip-networking") as restored:
        assert restored.value("SELECT COUNT(*) FROM shop.orders") == acked
        assert restored.ask("CHECK TABLE shop.orders EXTENDED")[0][3] == "OK"
        assert position

"""One real MariaDB server is held and witnessed: what waits, what is seen, and what keeps it from being held."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pymysql
import pytest

from quiesced.errors import Refused
from quiesced.quiescers.base import Budget
from tests.daemon.mariadb import Server, needs_mariadb
from tests.daemon.mysql_holds import INSERT, budget, held, in_background, prepare, writable
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_mariadb]


def test_writers_wait_while_it_holds_and_go_on_when_it_lets_go(server: Server) -> None:
    with held(server), in_background(server, INSERT) as over:
        assert not over.wait(0.3)
        assert server.value("SELECT COUNT(*) FROM shop.orders") >= 0
    wait_until(lambda: writable(server))


def test_the_witness_shows_session_lock_position_and_durability(server: Server) -> None:
    server.ask(INSERT)
    with held(server) as hold:
        witness = hold.witness()
    assert (witness.name, witness.engine) == ("orders", "mysql")
    assert int(witness.session) in hold.leftover["sessions"]  # type: ignore[operator]
    assert witness.session_alive and witness.lock_shown and witness.durable
    assert set(witness.position) == {"gtid", "log_file", "log_offset"}
    assert witness.position["gtid"].startswith("0-1-")
    assert "redo flushed to" in witness.durable_evidence


def test_the_position_stands_still_within_a_hold_and_moves_between_holds(server: Server) -> None:
    with held(server) as hold, in_background(server, INSERT):
        first, second = hold.witness(), hold.witness()
    assert first == second
    wait_until(lambda: writable(server))
    with held(server) as hold:
        later = hold.witness()
    assert later.position != first.position


def test_a_hold_that_was_let_go_shows_no_lock(server: Server) -> None:
    with held(server) as hold:
        hold.parts.lock.run("UNLOCK TABLES")
        witness = hold.witness()
    assert witness.session_alive and not witness.lock_shown
    assert "not in force" in witness.lock_evidence


def test_a_lock_that_is_only_waited_for_is_not_shown(server: Server) -> None:
    hold = prepare(server, acquire_s=30)
    try:
        with in_background(server, "UPDATE shop.orders SET item = SLEEP(20) LIMIT 1"):
            waiting = threading.Thread(target=lambda: _fails(lambda: hold.parts.lock.run("FLUSH TABLES WITH READ LOCK")))
            waiting.start()
            wait_until(lambda: server.ask("SHOW STATUS WHERE 1 = 0") or _waits_for_lock(server))
            shown, _ = hold._look_at_lock()
            server.ask(f"KILL {hold.parts.lock.id}")
            waiting.join()
    finally:
        hold.release()
    assert not shown


def _fails(call: Callable[[], None]) -> None:
    with suppress(pymysql.err.MySQLError):
        call()


def _waits_for_lock(server: Server) -> bool:
    return bool(server.ask("SELECT 1 FROM information_schema.processlist WHERE state = 'Waiting for backup lock'"))


def test_the_witness_says_so_when_an_administrator_killed_the_session(server: Server) -> None:
    with held(server) as hold:
        server.ask(f"KILL {hold.parts.lock.id}")
        witness = hold.witness()
        assert not witness.session_alive and not witness.lock_shown
        wait_until(lambda: writable(server))


def test_the_server_lets_go_by_itself_when_the_holder_says_nothing(server: Server) -> None:
    with held(server, hold_s=0.5) as hold:
        assert not writable(server)
        wait_until(lambda: writable(server), timeout_s=6)
        assert not hold.witness().session_alive


def test_a_statement_that_blocks_the_lock_is_named_and_the_writers_go_on(server: Server) -> None:
    hold = prepare(server)
    try:
        with in_background(server, "UPDATE shop.orders SET item = SLEEP(20) LIMIT 1"):
            with pytest.raises(Refused, match=r"session \d+ \(root@localhost\) has run \"UPDATE shop.orders") as raised:
                hold.quiesce(budget(acquire_s=0.3))
            assert raised.value.code == "acquire_timeout"
            wait_until(lambda: writable(server))
    finally:
        hold.release()


def test_a_cancelled_lease_ends_the_wait_for_the_lock(server: Server) -> None:
    cancelled = threading.Event()
    hold = prepare(server)
    try:
        with in_background(server, "UPDATE shop.orders SET item = SLEEP(20) LIMIT 1"):
            timer = threading.Timer(0.2, cancelled.set)
            timer.start()
            started_s = time.monotonic()
            with pytest.raises(Refused):
                hold.quiesce(Budget(lambda: 0.0 if cancelled.is_set() else 15.0, 10.0))
            timer.join()
            assert time.monotonic() - started_s < 3
    finally:
        hold.release()


def test_the_sockets_are_those_whose_shutdown_ends_the_hold(server: Server) -> None:
    with held(server) as hold:
        (fd,) = hold.sockets()
        with socket.socket(fileno=os.dup(fd)) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: writable(server))
        assert not hold.witness().session_alive

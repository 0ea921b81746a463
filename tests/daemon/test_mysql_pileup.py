"""Writers that pile up behind a hold of a real MariaDB server: counted, reported, and let through in time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from quiesced.errors import Refused
from quiesced.quiescers.mysql.hold import MysqlHold
from quiesced.quiescers.mysql.quiescer import MysqlQuiescer
from tests.daemon.mariadb import Server, needs_mariadb, rows
from tests.daemon.mysql_holds import INSERT, budget, in_background, options, writable
from tests.daemon.scenes import SCENE
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_mariadb]
WRITERS = 6


def prepared(server: Server, acquire_s: float = 20.0, **limits: Any) -> MysqlHold:
    limited = replace(options(server, long_s=60.0), **limits)
    return MysqlQuiescer("orders", limited).prepare(budget(acquire_s), SCENE, lambda _: None)


@contextmanager
def writers(server: Server, count: int = WRITERS) -> Iterator[list[int]]:
    """Sessions that each insert one row; gives the numbers of those that came through."""
    through: list[int] = []
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(count)]

        def write(number: int) -> None:
            rows(connections[number], INSERT)
            through.append(number)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield through
        finally:
            for thread in threads:
                thread.join(30)


def test_a_hold_that_nobody_waits_for_reports_looks_and_no_stall(server: Server) -> None:
    hold = prepared(server)
    hold.quiesce(budget())
    wait_until(lambda: hold.watched().samples > 2)
    hold.release()
    assert (hold.watched().peak_writers, hold.watched().writer_s, hold.watched().too_many) == (0, 0.0, "")


def test_every_writer_that_waits_is_counted_with_its_time(server: Server) -> None:
    hold = prepared(server)
    hold.quiesce(budget())
    with writers(server) as through:
        wait_until(lambda: hold.watched().writer_s > WRITERS * 0.2)
        assert not through
        hold.release()
    seen = hold.watched()
    assert (seen.peak_writers, len(through)) == (WRITERS, WRITERS)
    assert seen.writer_s < WRITERS * 5


def test_a_look_makes_no_temporary_table_which_would_hang_on_a_frozen_tmpdir(server: Server) -> None:
    def tables_on_disk() -> int:
        return int(server.ask("SHOW GLOBAL STATUS LIKE 'Created_tmp_disk_tables'")[0][1])

    hold = prepared(server)
    before = tables_on_disk()
    hold.quiesce(budget())
    wait_until(lambda: hold.watched().samples > 20)
    assert tables_on_disk() - before < 10
    hold.release()


def test_a_hold_that_can_no_longer_be_watched_has_to_end(server: Server) -> None:
    hold = prepared(server)
    hold.quiesce(budget())
    server.ask(f"KILL {hold.parts.pile_up.session_id}")
    assert "can no longer be counted" in wait_until(lambda: hold.watched().too_many)
    hold.release()
    wait_until(lambda: not server.sessions())


def test_too_many_writers_behind_a_lock_that_is_held_are_a_reason_to_end_it(server: Server) -> None:
    hold = prepared(server, max_stalled_writers=WRITERS - 1)
    hold.quiesce(budget())
    with writers(server):
        why = wait_until(lambda: hold.watched().too_many)
        hold.release()
    assert why == f"{WRITERS} writers waited behind the lock, more than max_stalled_writers ({WRITERS - 1})"


def test_a_lock_that_is_waited_for_is_given_up_when_writers_pile_up_behind_it(server: Server) -> None:
    with in_background(server, "INSERT INTO shop.orders (item) SELECT SLEEP(20)"):
        hold = prepared(server, max_stalled_writers=2)
        with ExitStack() as stack:
            waiting = wait_for_lock(stack, server, hold)
            with pytest.raises(Refused) as refused:
                waiting()
        assert refused.value.code == "writers_piled_up"
        assert "writers waited behind the lock" in str(refused.value) and "SLEEP(20)" in str(refused.value)
        assert writable(server), "the statement in the way still runs, and writers pass it"
    wait_until(lambda: not server.sessions())


def wait_for_lock(stack: ExitStack, server: Server, hold: MysqlHold) -> Any:
    """Start writers once the lock is being waited for; returns what waits for it."""

    def start_writers() -> None:
        query = "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'FLUSH TABLES%' AND state LIKE 'Waiting%'"
        wait_until(lambda: server.ask(query))
        through = stack.enter_context(writers(server))
        assert isinstance(through, list)

    thread = threading.Thread(target=start_writers)
    thread.start()
    stack.callback(thread.join)
    return lambda: hold.quiesce(budget(acquire_s=20.0))


def test_a_hold_does_not_begin_when_few_connections_are_left(server: Server) -> None:
    server.ask("SET GLOBAL max_connections = 10")
    try:
        with ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(server.connect())
            prepared(server).release()
            with pytest.raises(Refused, match=r"6 of 10 connections are in use.*max_connections_used, 0.5") as refused:
                stack.enter_context(server.connect())
                prepared(server, max_connections_used=0.5)
        assert refused.value.code == "blocked"
    finally:
        server.ask("SET GLOBAL max_connections = 151")
    wait_until(lambda: not server.sessions())


def test_a_hold_ends_before_waiting_clients_use_up_the_connections(server: Server) -> None:
    server.ask("SET GLOBAL max_connections = 12")
    try:
        hold = prepared(server, max_connections_used=0.5)
        hold.quiesce(budget())
        with writers(server, 7):
            why = wait_until(lambda: hold.watched().too_many)
            hold.release()
        assert "7 of 12 connections are in use" in why
    finally:
        server.ask("SET GLOBAL max_connections = 151")

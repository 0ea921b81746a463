"""Holds of one MariaDB server with a shop, and looks at what they do to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pymysql

from quiesced.quiescers.base import Budget
from quiesced.quiescers.mysql.hold import MysqlHold
from quiesced.quiescers.mysql.quiescer import MysqlQuiescer
from quiesced.quiescers.mysql.session import LOCK, Options
from tests.daemon.mariadb import Server, rows, session_id
from tests.daemon.scenes import SCENE
from tests.waiting import wait_until

INSERT = "INSERT INTO shop.orders (item) VALUES ('book')"
Leftovers = list[dict[str, object]]


def options(
    server: Server, *, user: str = "quiesced", password: str = "a password", long_s: float = 5.0, mode: str = LOCK
) -> Options:
    return Options(server.socket, user, password, long_statement_s=long_s, idle_transaction_s=1.0, mode=mode)


def quiescer(server: Server, **given: Any) -> MysqlQuiescer:
    return MysqlQuiescer("orders", options(server, **given))


def budget(acquire_s: float = 2.0, hold_s: float = 10.0) -> Budget:
    ends_s = time.monotonic() + acquire_s
    return Budget(lambda: max(0.0, ends_s - time.monotonic()), hold_s)


def prepare(server: Server, leftovers: Leftovers | None = None, acquire_s: float = 2.0, mode: str = LOCK) -> MysqlHold:
    return quiescer(server, mode=mode).prepare(budget(acquire_s), SCENE, (leftovers if leftovers is not None else []).append)


@contextmanager
def held(server: Server, hold_s: float = 10.0, mode: str = LOCK) -> Iterator[MysqlHold]:
    hold = prepare(server, mode=mode)
    try:
        hold.quiesce(budget(hold_s=hold_s))
        yield hold
    finally:
        hold.release()


@contextmanager
def in_background(server: Server, statement: str) -> Iterator[threading.Event]:
    """Run a statement in a session of its own; the event is set when it has ended, however it did."""
    over = threading.Event()
    connection = server.connect()
    session = session_id(connection)

    def run() -> None:
        with suppress(pymysql.err.MySQLError):
            rows(connection, statement)
        over.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: over.is_set() or _runs(server, session))
        yield over
    finally:
        with suppress(pymysql.err.MySQLError):
            server.ask(f"KILL {session}")
        thread.join()
        if connection.open:
            connection.close()


def _runs(server: Server, session: int) -> bool:
    found = server.ask(f"SELECT command FROM information_schema.processlist WHERE id = {session}")
    return bool(found) and found[0][0] == "Query"


def writable(server: Server) -> bool:
    with server.connect(read_timeout=3) as connection:
        rows(connection, "SET SESSION lock_wait_timeout = 1")
        try:
            rows(connection, INSERT)
        except pymysql.err.OperationalError:
            return False
    return True


def flush_log(server: Server) -> int:
    return int(server.value("SELECT @@GLOBAL.innodb_flush_log_at_trx_commit"))

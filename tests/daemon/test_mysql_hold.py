"""One real MariaDB server is held, witnessed and let go; whatever dies in between, it is as it was before."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pymysql
import pytest

from quiesced.errors import Refused
from quiesced.quiescers.base import Budget
from quiesced.quiescers.mysql import MysqlQuiescer
from quiesced.quiescers.mysql_hold import MysqlHold
from quiesced.quiescers.mysql_session import Options
from tests.daemon import mariadb
from tests.daemon.mariadb import Server, needs_mariadb, rows, session_id
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_mariadb]

INSERT = "INSERT INTO shop.orders (item) VALUES ('book')"
Leftovers = list[dict[str, object]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    datadir = tmp_path_factory.mktemp("mysql") / "data"
    mariadb.install(datadir)
    with mariadb.running(datadir, "--log-bin=binlog", "--server-id=1") as server:
        server.ask("CREATE DATABASE shop")
        server.ask("CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, item TEXT) ENGINE=InnoDB")
        server.ask("CREATE USER quiesced@localhost IDENTIFIED BY 'a password'")
        server.ask("GRANT RELOAD, PROCESS, BINLOG MONITOR, SUPER ON *.* TO quiesced@localhost")
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    shared.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    wait_until(lambda: not shared.sessions())
    yield shared
    for session in shared.sessions():
        with suppress(pymysql.err.MySQLError):
            shared.ask(f"KILL {session}")


def options(server: Server, *, user: str = "quiesced", password: str = "a password", long_s: float = 5.0) -> Options:
    return Options(server.socket, user, password, long_statement_s=long_s, idle_transaction_s=1.0)


def quiescer(server: Server, **given: Any) -> MysqlQuiescer:
    return MysqlQuiescer("orders", options(server, **given))


def budget(acquire_s: float = 2.0, hold_s: float = 10.0) -> Budget:
    ends_s = time.monotonic() + acquire_s
    return Budget(lambda: max(0.0, ends_s - time.monotonic()), hold_s)


def prepare(server: Server, leftovers: Leftovers | None = None, acquire_s: float = 2.0) -> MysqlHold:
    return quiescer(server).prepare(budget(acquire_s), (leftovers if leftovers is not None else []).append)


@contextmanager
def held(server: Server, hold_s: float = 10.0) -> Iterator[MysqlHold]:
    hold = prepare(server)
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


@pytest.mark.parametrize("prior", [0, 1, 2])
def test_the_redo_setting_is_1_during_the_hold_and_as_before_afterwards(server: Server, prior: int) -> None:
    server.ask(f"SET GLOBAL innodb_flush_log_at_trx_commit = {prior}")
    server.ask(INSERT)
    with held(server) as hold:
        assert flush_log(server) == 1
        assert hold.witness().durable
    assert flush_log(server) == prior


def test_a_setting_that_somebody_changed_meanwhile_is_left_alone(server: Server) -> None:
    server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    with held(server):
        server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
    assert flush_log(server) == 2


def _die(server: Server, hold: MysqlHold, leftover: dict[str, object]) -> None:
    """What the kernel does to a process that dies, and then the successor."""
    hold.parts.lock.abort()
    hold.parts.control.abort()
    quiescer(server).heal(leftover)
    hold.parts.lock.close()
    hold.parts.control.close()


def _hang(server: Server, hold: MysqlHold, leftover: dict[str, object]) -> None:
    """The process hangs with its sockets open; the successor comes all the same."""
    quiescer(server).heal(leftover)


def _release(times: int) -> Callable[[Server, MysqlHold, dict[str, object]], None]:
    def end(_server: Server, hold: MysqlHold, _leftover: dict[str, object]) -> None:
        for _ in range(times):
            hold.release()

    return end


def _kill_then_release(server: Server, hold: MysqlHold, _leftover: dict[str, object]) -> None:
    for session in (hold.parts.lock.id, hold.parts.control.id):
        server.ask(f"KILL {session}")
    hold.release()


ENDS = {
    "released": _release(1),
    "released twice": _release(2),
    "sessions killed, then released": _kill_then_release,
    "died": _die,
    "hung": _hang,
}


@pytest.mark.parametrize("quiesce", [False, True], ids=["before the lock", "under the lock"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_whatever_ends_it_the_server_is_as_it_was(
    server: Server, end: Callable[[Server, MysqlHold, dict[str, object]], None], quiesce: bool
) -> None:
    server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
    leftovers: Leftovers = []
    hold = prepare(server, leftovers)
    try:
        if quiesce:
            hold.quiesce(budget())
        end(server, hold, leftovers[0])

        wait_until(lambda: writable(server))
        assert flush_log(server) == 2
        wait_until(lambda: not server.sessions())
    finally:
        hold.release()


def test_healing_does_not_touch_a_session_of_somebody_else(server: Server) -> None:
    leftovers: Leftovers = []
    hold = prepare(server, leftovers)
    hold.release()
    with server.connect() as stranger:
        quiescer(server).heal({**leftovers[0], "sessions": [session_id(stranger)]})
        assert rows(stranger, "SELECT 1") == ((1,),)


def test_healing_leaves_a_restarted_server_alone(server: Server) -> None:
    leftovers: Leftovers = []
    prepare(server, leftovers).release()
    server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    quiescer(server).heal({**leftovers[0], "server": "1:1", "flush_log_at_trx_commit": 2})
    assert flush_log(server) == 1


def test_healing_gives_up_on_a_server_that_is_gone(tmp_path: Path) -> None:
    slept: list[float] = []
    readings = iter(range(0, 100, 2))
    gone = Options(tmp_path / "no.sock", "quiesced", "", 5.0, 5.0)
    quiescer = MysqlQuiescer("orders", gone, sleep=slept.append, monotonic=lambda: float(next(readings)))
    quiescer.heal({"server": "1:1"})
    assert 3 <= len(slept) <= 6


def test_leftovers_are_registered_before_the_setting_is_changed(server: Server) -> None:
    server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    seen: list[int] = []
    hold = quiescer(server).prepare(budget(), lambda _leftover: seen.append(flush_log(server)))
    hold.release()
    assert seen == [0]


def test_a_prepare_that_cannot_be_registered_leaves_nothing(server: Server) -> None:
    def full(_leftover: dict[str, object]) -> None:
        raise OSError("no space left")

    server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    with pytest.raises(OSError, match="no space left"):
        quiescer(server).prepare(budget(), full)
    assert flush_log(server) == 0
    wait_until(lambda: not server.sessions())


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

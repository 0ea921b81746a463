"""One real MariaDB server is as it was before, however its hold ended: let go, killed, died, hung or never begun."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from quiesced.errors import Refused
from quiesced.quiescers.mysql.hold import MysqlHold
from quiesced.quiescers.mysql.quiescer import MysqlQuiescer
from quiesced.quiescers.mysql.session import Options
from tests.daemon.mariadb import Server, needs_mariadb, rows, session_id
from tests.daemon.mysql_holds import (
    INSERT,
    Leftovers,
    budget,
    flush_log,
    held,
    in_background,
    prepare,
    quiescer,
    writable,
)
from tests.daemon.scenes import SCENE
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_mariadb]


@pytest.mark.parametrize("prior", [0, 1, 2])
def test_the_redo_setting_is_1_during_the_hold_and_as_before_afterwards(server: Server, prior: int) -> None:
    server.ask(f"SET GLOBAL innodb_flush_log_at_trx_commit = {prior}")
    server.ask(INSERT)
    with held(server) as hold:
        assert flush_log(server) == 1
        assert hold.witness().durable
    assert flush_log(server) == prior


def test_the_redo_setting_is_1_before_the_lock_is_asked_for(server: Server) -> None:
    server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    hold = prepare(server)
    try:
        assert flush_log(server) == 1
    finally:
        hold.release()


def test_a_setting_that_somebody_changed_meanwhile_is_left_alone(server: Server) -> None:
    server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    with held(server):
        server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
    assert flush_log(server) == 2


class OutOfMemoryOnce(dict[str, object]):
    """What a hold changed, readable only from the second time on."""

    exhausted = True

    def get(self, key: str, default: object = None) -> object:
        if self.exhausted:
            self.exhausted = False
            raise MemoryError
        return super().get(key, default)


def test_a_release_that_broke_off_restores_the_setting_when_it_is_asked_again(server: Server) -> None:
    server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    with held(server) as hold:
        hold.leftover = OutOfMemoryOnce(hold.leftover)
        with pytest.raises(MemoryError):
            hold.release()
        assert flush_log(server) == 1
    assert flush_log(server) == 0


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
    hold = quiescer(server).prepare(budget(), SCENE, lambda _leftover: seen.append(flush_log(server)))
    hold.release()
    assert seen == [0]


def test_a_prepare_that_cannot_be_registered_leaves_nothing(server: Server) -> None:
    def full(_leftover: dict[str, object]) -> None:
        raise OSError("no space left")

    server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    with pytest.raises(OSError, match="no space left"):
        quiescer(server).prepare(budget(), SCENE, full)
    assert flush_log(server) == 0
    wait_until(lambda: not server.sessions())


@pytest.mark.parametrize("prior", [0, 1])
def test_a_server_that_was_read_only_stays_so_and_another_does_not_become_so(server: Server, prior: int) -> None:
    """Azure's scripts set read_only ON before and OFF after, whatever it was: a replica is open for writing afterwards."""
    server.ask(f"SET GLOBAL read_only = {prior}")
    try:
        with held(server):
            during = server.value("SELECT @@GLOBAL.read_only")
        assert (during, server.value("SELECT @@GLOBAL.read_only")) == (prior, prior)
    finally:
        server.ask("SET GLOBAL read_only = 0")


def test_many_failed_holds_leave_no_session_and_the_next_one_works(server: Server) -> None:
    """CNPG #6761: three failed snapshots leaked their sessions until nobody could log in any more."""
    with in_background(server, "UPDATE shop.orders SET item = SLEEP(20) LIMIT 1"):
        before = server.sessions()
        for _ in range(5):
            hold = prepare(server)
            with pytest.raises(Refused):
                hold.quiesce(budget(acquire_s=0.05))
        wait_until(lambda: server.sessions() == before)
    with held(server) as hold:
        assert hold.witness().lock_shown

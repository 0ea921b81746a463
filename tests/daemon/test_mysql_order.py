"""The order of statements in one hold of a MySQL or MariaDB server, on a server that is a list of what it was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import pymysql
import pytest

from quiesced.errors import Refused
from quiesced.quiescers.base import Budget, Watched
from quiesced.quiescers.mysql.hold import MysqlHold, Parts
from quiesced.quiescers.mysql.mode import INSTANCE_LOCK, READ_LOCK, Locking, Way
from quiesced.quiescers.mysql.pileup import PileUp
from quiesced.quiescers.mysql.position import Asked, Position
from quiesced.quiescers.mysql.session import LOOK_LIMIT_S, STATEMENT_TIMEOUT_S, Flavor, Options, Session

LOCK, UNLOCK = "FLUSH TABLES WITH READ LOCK", "UNLOCK TABLES"
SETTING = "innodb_flush_log_at_trx_commit"


class FakeServer:
    """What one server knows: who locked it, how far its redo log is, and every statement in order."""

    evidence = "looked at the lock"

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.locked = False
        self.setting = 1
        self.written = self.flushed = 100
        self.pushes_in_vain = 0
        self.refuses: Optional[str] = None
        self.takes, self.gives = LOCK, UNLOCK

    def shows(self, control: Session, lock_session_id: int) -> bool:
        return self.locked

    def answer(self, statement: str, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], ...]:
        self.heard.append(statement)
        if statement == self.refuses:
            raise pymysql.err.OperationalError(1205, "Lock wait timeout exceeded")
        if statement == self.takes:
            self.written += 10  # commits that were acknowledged until the lock was granted
        self.locked = (self.locked or statement == self.takes) and statement != self.gives
        if "ENGINE LOGS" in statement:
            self.pushes_in_vain -= 1
            self.flushed = self.written if self.pushes_in_vain < 0 else self.flushed
        if statement.startswith("SET GLOBAL"):
            self.setting = values[0]
        return self._rows(statement)

    def _rows(self, statement: str) -> tuple[tuple[Any, ...], ...]:
        if statement.startswith("SHOW GLOBAL STATUS"):
            return (("Innodb_lsn_current", self.written), ("Innodb_lsn_flushed", self.flushed))
        if statement == "SHOW MASTER STATUS":
            return (("binlog.000001", 42),)
        return ((self.setting if SETTING in statement else 7,),)


class FakeSession(Session):
    """A session with the server above."""

    def __init__(self, server: FakeServer) -> None:
        self.id = 7
        self._server = server

    def rows(self, statement: str, *values: object) -> tuple[tuple[Any, ...], ...]:
        return self._server.answer(statement, values)

    def limit(self, read_timeout_s: float) -> None:
        self._server.heard.append(f"wait {read_timeout_s:g} s at most")

    def close(self) -> None:
        return


class NobodyWaits(PileUp):
    """A look at a server where nobody waits; it says nothing to the server above."""

    session_id = 8
    too_many = ""

    def __init__(self) -> None:
        return

    def start(self) -> None:
        return

    def stop(self) -> None:
        return

    def watched(self) -> Watched:
        return Watched()


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


def hold_of(
    server: FakeServer, prior: int = 2, locking: Locking = READ_LOCK, position: Optional[Position] = None
) -> MysqlHold:
    flavor = Flavor("10.11-MariaDB", True, (10, 11, 0))
    way = Way("lock", "told to", locking)
    control = FakeSession(server)
    position = position or Asked(control, flavor, replicates=False)
    parts = Parts(FakeSession(server), control, NobodyWaits(), flavor, server, way, position)
    return MysqlHold("orders", Options(None, "quiesced", "", 5, 5), parts, {SETTING.partition("_")[2]: prior})  # type: ignore[arg-type]  # no socket is opened


def budget() -> Budget:
    return Budget(lambda: 2.0, 10.0)


def test_a_hold_has_the_lock_and_its_witness_says_so(server: FakeServer) -> None:
    """QEMU's sample hook ended with success while its lock was still waited for."""
    hold = hold_of(server)
    assert not hold.witness().lock_shown
    hold.quiesce(budget())
    assert server.locked
    assert hold.witness().lock_shown


def test_what_was_acknowledged_until_the_lock_is_on_disk_before_the_hold_is_answered(server: FakeServer) -> None:
    hold = hold_of(server)
    hold.quiesce(budget())
    assert hold.witness().durable_evidence == "redo flushed to 110, written to 110 when it was asked"


def held_by_freeze(server: FakeServer, position: Optional[Position] = None) -> MysqlHold:
    server.takes, server.gives = INSTANCE_LOCK.take[0], INSTANCE_LOCK.give
    hold = hold_of(server, locking=INSTANCE_LOCK, position=position)
    hold.quiesce(budget())
    return hold


def test_behind_a_freeze_a_setting_that_was_relaxed_meanwhile_is_not_durable(server: FakeServer) -> None:
    """Commits went on until the freeze, and with another setting the last of them are in the server's memory."""
    hold = held_by_freeze(server)
    assert hold.witness().durable
    server.setting = 2
    assert not hold.witness().durable


def test_behind_a_freeze_the_files_are_read_before_it_and_looked_at_in_it(server: FakeServer) -> None:
    files = Files()
    hold = held_by_freeze(server, files)
    assert files.caught_up
    assert hold.witness().position == {"gtid": "1-2"}


def test_a_position_that_cannot_be_told_shows_no_hold(server: FakeServer) -> None:
    hold = held_by_freeze(server, Files(complaint="its binary log: encrypted"))
    witness = hold.witness()
    assert (witness.lock_shown, witness.position) == (False, {})
    assert "where it stands cannot be told: its binary log: encrypted" in witness.lock_evidence


class Files:
    """A position on disk."""

    def __init__(self, complaint: str = "") -> None:
        self.caught_up = False
        self._complaint = complaint

    def catch_up(self, left_s: Callable[[], float]) -> None:
        self.caught_up = left_s() > 0

    def look(self) -> dict[str, str]:
        if self._complaint:
            raise Refused("application_unreachable", self._complaint)
        return {"gtid": "1-2"}


def test_a_redo_log_that_does_not_reach_the_disk_at_the_first_push_is_waited_for(server: FakeServer) -> None:
    """With innodb_flush_log_at_trx_commit at 0 or 2 FLUSH ENGINE LOGS does nothing; the server flushes once a second."""
    server.pushes_in_vain = 3
    hold = hold_of(server)
    hold.quiesce(budget())
    assert server.flushed == server.written == 110
    assert server.heard.count("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS") == 4


def test_the_server_is_told_to_end_a_silent_holder_before_it_is_asked_for_the_lock(server: FakeServer) -> None:
    """MariaDB and MySQL keep a lock for hours when the network to its holder is lost without a word."""
    hold_of(server).quiesce(budget())
    told = "SET SESSION wait_timeout = 11, SESSION lock_wait_timeout = 3"
    assert server.heard.index(told) < server.heard.index(LOCK)


def test_while_writers_wait_no_look_waits_as_long_as_other_statements_may(server: FakeServer) -> None:
    hold = hold_of(server)
    hold.quiesce(budget())
    assert server.heard[-2:] == [f"wait {LOOK_LIMIT_S:g} s at most"] * 2
    hold.witness()
    hold.release()
    assert server.heard.index(f"wait {STATEMENT_TIMEOUT_S:g} s at most") < server.heard.index(UNLOCK)


def test_the_lock_goes_before_the_setting_comes_back(server: FakeServer) -> None:
    hold = hold_of(server)
    hold.quiesce(budget())
    hold.release()
    assert (server.locked, server.setting) == (False, 2)
    assert server.heard.index(UNLOCK) < server.heard.index(f"SET GLOBAL {SETTING} = %s")


def test_a_setting_that_somebody_changed_meanwhile_is_theirs(server: FakeServer) -> None:
    """Azure's scripts set read_only OFF afterwards, whatever it was before, and opened replicas for writing."""
    hold = hold_of(server)
    hold.quiesce(budget())
    server.setting = 0
    hold.release()
    assert server.setting == 0


def test_no_statement_of_a_hold_touches_read_only_or_replication(server: FakeServer) -> None:
    """Azure switches read_only without looking; mariadb-operator #1914 leaves the SQL thread stopped after a failure."""
    hold = hold_of(server)
    hold.quiesce(budget())
    hold.witness()
    hold.release()
    said = " ".join(server.heard).lower()
    assert not [word for word in ("read_only", "slave", "replica ", "sql_thread") if word in said]


@pytest.mark.parametrize("refused", [LOCK, "FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS"])
def test_a_hold_that_fails_on_the_way_has_let_go(server: FakeServer, refused: str) -> None:
    """zrepl #392 and Velero: a pre hook that failed is followed by no post hook, and the lock stays."""
    hold = hold_of(server)
    server.refuses = refused
    with pytest.raises(Refused):
        hold.quiesce(budget())
    assert (server.locked, server.setting) == (False, 2)

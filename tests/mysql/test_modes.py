"""A real MySQL server is held in the cheapest way that suffices: which one that is, and what the backup lock holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from quiesced.errors import Refused
from quiesced.messages import Witness
from quiesced.quiescers.base import HeldBy, Scene
from quiesced.quiescers.mysql.session import AUTO, BACKUP_LOCK, LOCK
from quiesced.witness import refusal_of
from tests.daemon.mariadb import Server, rows
from tests.daemon.mysql_holds import INSERT, budget, held, in_background, prepare, quiescer, writable
from tests.daemon.scenes import SCENE
from tests.mysql import server as mysql
from tests.waiting import wait_until

pytestmark = pytest.mark.lab
WAITING = "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting%'"
ENABLED = "SELECT variable_value FROM performance_schema.global_status WHERE variable_name = 'Innodb_redo_log_enabled'"
DDL = "CREATE TABLE shop.made (id INT PRIMARY KEY)"


def chosen(server: Server, mode: str = AUTO, scene: Scene = SCENE) -> tuple[str, str]:
    report = quiescer(server, mode=mode).check(scene)
    assert report.refusals == ()
    return report.mode, report.mode_reason


def refused(server: Server) -> str:
    """Why the mode is not to be had, as check and prepare say alike."""
    (refusal,) = quiescer(server, mode=BACKUP_LOCK).check(SCENE).refusals
    with pytest.raises(Refused) as caught:
        prepare(server, mode=BACKUP_LOCK)
    assert str(caught.value) == refusal.message
    return refusal.message


def test_where_innodb_alone_has_data_the_backup_lock_and_the_freeze_suffice(server: Server) -> None:
    mode, why = chosen(server)
    assert (mode, "backup lock and freeze" in why, "InnoDB alone" in why) == (BACKUP_LOCK, True, True)
    with held(server, mode=BACKUP_LOCK) as hold:
        assert hold.held_by is HeldBy.FREEZE


@pytest.mark.parametrize(
    ("do", "undo", "why"),
    [
        ("CREATE TABLE shop.other (id INT PRIMARY KEY) ENGINE=MyISAM", "DROP TABLE shop.other", "shop/other.MYD"),
        (
            "REVOKE BACKUP_ADMIN ON *.* FROM quiesced@localhost",
            "GRANT BACKUP_ADMIN ON *.* TO quiesced@localhost",
            "the user lacks BACKUP_ADMIN",
        ),
    ],
)
def test_what_the_backup_lock_would_miss_is_named_and_needs_the_read_lock(
    server: Server, do: str, undo: str, why: str
) -> None:
    server.ask(do)
    try:
        mode, reason = chosen(server)
        assert (mode, why in reason) == (LOCK, True), reason
        assert why in refused(server)
    finally:
        server.ask(undo)


@pytest.mark.parametrize("mode", [LOCK, BACKUP_LOCK])
def test_a_server_without_a_redo_log_is_refused_however_it_would_be_held(server: Server, mode: str) -> None:
    """What such a server has in memory is nowhere on its disk, whoever holds it."""
    server.ask("ALTER INSTANCE DISABLE INNODB REDO_LOG")
    try:
        (refusal,) = quiescer(server, mode=mode).check(SCENE).refusals
        with pytest.raises(Refused) as caught:
            prepare(server, mode=mode)
    finally:
        server.ask("ALTER INSTANCE ENABLE INNODB REDO_LOG")
    assert (refusal.code, "ENABLE INNODB REDO_LOG" in refusal.message) == ("not_durable", True)
    assert str(caught.value) == refusal.message


def test_no_redo_log_is_disabled_under_the_backup_lock(server: Server) -> None:
    """Until the freeze it has to stay what it was when it was asked for."""
    with held(server, mode=BACKUP_LOCK), in_background(server, "ALTER INSTANCE DISABLE INNODB REDO_LOG") as over:
        wait_until(
            lambda: bool(
                server.value("SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'Waiting for backup lock'")
            )
        )
        assert not over.is_set()
    assert server.value(ENABLED) == "ON"


def test_a_path_outside_of_the_set_needs_the_read_lock_and_is_named(server: Server) -> None:
    redo = str(server.datadir.with_name("redo"))
    mode, why = chosen(server, scene=Scene(covers=lambda path: str(path) != redo))
    assert (mode, f"{redo} does not lie on the set" in why) == (LOCK, True)


def test_a_server_without_a_binary_log_needs_the_read_lock(tmp_path: Path) -> None:
    datadir = tmp_path / "data"
    mysql.install(datadir)
    with mysql.running(datadir, "--skip-networking", "--skip-log-bin") as server:
        report = quiescer(server, mode=AUTO, user="root", password="").check(SCENE)
    assert (report.mode, "its binary log is off" in report.mode_reason) == (LOCK, True), report


def test_it_passes_by_what_the_read_lock_would_wait_for_and_keeps_no_commit_waiting(server: Server) -> None:
    """A long UPDATE stands in the way of FLUSH TABLES WITH READ LOCK, and every writer behind it."""
    server.ask(INSERT)
    with server.connect() as idle, in_background(server, "UPDATE shop.orders SET item = SLEEP(20) LIMIT 1"):
        rows(idle, "BEGIN")
        rows(idle, INSERT)
        with held(server, mode=BACKUP_LOCK) as hold:
            assert refusal_of(Witness((hold.witness(),), ())) is None
            assert writable(server)
        rows(idle, "ROLLBACK")


def test_it_keeps_ddl_waiting_until_it_lets_go(server: Server) -> None:
    with held(server, mode=BACKUP_LOCK) as hold:
        assert "lists BACKUP LOCK as granted" in hold.witness().lock_evidence
        with server.connect() as other:
            rows(other, "SET lock_wait_timeout = 1")
            with pytest.raises(Exception, match="Lock wait timeout"):
                rows(other, DDL)
    server.ask(DDL)
    server.ask("DROP TABLE shop.made")


def test_a_setting_that_somebody_relaxed_meanwhile_is_seen(server: Server) -> None:
    """Commits go on until the freeze, so each has to be on disk by itself."""
    with held(server, mode=BACKUP_LOCK) as hold:
        assert hold.witness().durable
        server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
        try:
            witness = hold.witness()
        finally:
            server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    assert (witness.durable, "somebody set innodb_flush_log_at_trx_commit to 2" in witness.durable_evidence) == (False, True)


def test_a_session_that_an_administrator_killed_shows_no_lock(server: Server) -> None:
    with held(server, mode=BACKUP_LOCK) as hold:
        server.ask(f"KILL {hold.witness().session}")
        wait_until(lambda: not hold.witness().session_alive)
        assert not hold.witness().lock_shown


def test_the_position_is_the_one_that_the_server_says_whatever_was_written(server: Server) -> None:
    with server.connect() as connection:
        for statement in ("FLUSH BINARY LOGS", INSERT, "SET binlog_transaction_compression = ON", INSERT):
            rows(connection, statement)
        with held(server, mode=BACKUP_LOCK) as hold:
            for statement in (INSERT, "FLUSH BINARY LOGS", INSERT):
                rows(connection, statement)
            position = hold.witness().position
        ((file, offset, _, _, gtid),) = rows(connection, "SHOW BINARY LOG STATUS")
    assert position == {"gtid": gtid, "log_file": file, "log_offset": str(offset)}


def test_files_that_the_daemon_may_not_read_are_refused_before_anything_is_held(server: Server) -> None:
    ((file, *_),) = server.ask("SHOW BINARY LOG STATUS")
    path = server.datadir.parent / file
    aside = path.rename(path.with_suffix(".aside"))
    try:
        with pytest.raises(Refused, match=r'No such file.*set mode = "lock"'):
            prepare(server, mode=BACKUP_LOCK)
    finally:
        aside.rename(path)
    wait_until(lambda: not server.sessions())


def test_a_change_of_a_table_that_keeps_the_lock_waiting_is_named(server: Server) -> None:
    with server.connect() as holder:
        rows(holder, "BEGIN")
        rows(holder, "SELECT * FROM shop.orders LIMIT 1")
        hold = prepare(server, mode=BACKUP_LOCK)
        with in_background(server, "ALTER TABLE shop.orders ADD COLUMN note TEXT, ALGORITHM=COPY"):
            wait_until(lambda: server.value(WAITING))
            with pytest.raises(Refused, match=r"ALTER TABLE shop\.orders"):
                hold.quiesce(budget(acquire_s=0.3))
    wait_until(lambda: not server.sessions())

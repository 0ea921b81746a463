"""One real MariaDB server is held in the cheapest way that suffices: which one that is, and what each of them holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quiesced.errors import Refused
from quiesced.quiescers.base import HeldBy, Scene
from quiesced.quiescers.mysql.session import AUTO, BACKUP_LOCK, LOCK
from tests.daemon.mariadb import Server, needs_mariadb, rows
from tests.daemon.mysql_holds import INSERT, budget, flush_log, held, in_background, prepare, quiescer, writable
from tests.daemon.scenes import SCENE
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_mariadb]


@contextmanager
def table(server: Server, engine: str) -> Iterator[None]:
    server.ask(f"CREATE TABLE shop.other (id INT PRIMARY KEY, item TEXT) ENGINE={engine}")
    try:
        yield
    finally:
        server.ask("DROP TABLE shop.other")


def chosen(server: Server, mode: str = AUTO, scene: Scene = SCENE) -> tuple[str, str]:
    report = quiescer(server, mode=mode).check(scene)
    assert report.refusals == ()
    return report.mode, report.mode_reason


def test_where_innodb_alone_has_data_the_backup_stages_suffice(server: Server) -> None:
    mode, why = chosen(server)
    assert (mode, "InnoDB alone" in why) == (BACKUP_LOCK, True)


@pytest.mark.parametrize("engine", ["MyISAM", "Aria", "CSV"])
def test_a_table_of_another_engine_needs_the_read_lock_and_is_named(server: Server, engine: str) -> None:
    columns = "(id INT NOT NULL, item TEXT NOT NULL)"
    server.ask(f"CREATE TABLE shop.other {columns} ENGINE={engine}")
    try:
        mode, why = chosen(server)
    finally:
        server.ask("DROP TABLE shop.other")
    assert (mode, "shop/other." in why) == (LOCK, True)


def test_another_engine_that_keeps_a_directory_of_its_own_is_named(server: Server) -> None:
    rocks = server.datadir / "#rocksdb"
    rocks.mkdir()
    try:
        mode, why = chosen(server)
    finally:
        rocks.rmdir()
    assert (mode, "#rocksdb (MyRocks)" in why) == (LOCK, True)


def test_a_path_outside_of_the_set_needs_the_read_lock_and_is_named(server: Server) -> None:
    home = server.datadir
    mode, why = chosen(server, scene=Scene(covers=lambda path: path != home))
    assert mode == LOCK
    assert f"{home} does not lie on the set" in why.replace(f"{home}/", str(home))


def test_what_was_configured_is_used_or_refused(server: Server) -> None:
    assert chosen(server, LOCK) == (LOCK, "read lock, as configured")
    with table(server, "MyISAM"):
        refused = quiescer(server, mode=BACKUP_LOCK).check(SCENE).refusals
        with pytest.raises(Refused, match=r"other\.MYD"):
            prepare(server, mode=BACKUP_LOCK)
    assert [(refusal.code, "other.MYD" in refusal.message) for refusal in refused] == [("application_unreachable", True)]


@pytest.mark.parametrize("mode", [LOCK, BACKUP_LOCK])
def test_each_way_stops_every_commit_and_shows_that_it_does(server: Server, mode: str) -> None:
    server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    server.ask(INSERT)
    with held(server, mode=mode) as hold, in_background(server, INSERT) as over:
        first, second = hold.witness(), hold.witness()
        assert not over.wait(0.3)
        assert server.value("SELECT COUNT(*) FROM shop.orders") >= 0
    assert first == second
    assert first.session_alive and first.lock_shown and first.durable
    assert (first.mode, first.held_by, hold.held_by) == (mode, "lock", HeldBy.LOCK)
    wait_until(lambda: writable(server))
    assert flush_log(server) == 0


def test_the_backup_stages_pass_by_what_the_read_lock_would_wait_for(server: Server) -> None:
    """A long UPDATE stands in the way of FLUSH TABLES WITH READ LOCK, and every writer behind it."""
    slow = "UPDATE shop.orders SET item = SLEEP(20) LIMIT 1"
    with server.connect() as idle, in_background(server, slow):
        rows(idle, "BEGIN")
        rows(idle, INSERT)
        with held(server, mode=BACKUP_LOCK) as hold:
            witness = hold.witness()
        assert witness.lock_shown
        rows(idle, "ROLLBACK")  # an idle transaction would be refused by the guard already
        blocked = prepare(server)
        with pytest.raises(Refused):
            blocked.quiesce(budget(acquire_s=0.3))
    wait_until(lambda: writable(server))


def test_a_transaction_that_was_open_before_cannot_commit_while_it_holds(server: Server) -> None:
    """The stages let statements go on; what they do is on no disk as committed until the hold is over."""
    with server.connect() as open_before:
        rows(open_before, "BEGIN")
        rows(open_before, INSERT)
        with held(server, mode=BACKUP_LOCK) as hold:
            first = hold.witness()
            rows(open_before, INSERT)
            rows(open_before, "SET lock_wait_timeout = 0")
            with pytest.raises(Exception, match="Lock wait timeout"):
                rows(open_before, "COMMIT")
            assert hold.witness().position == first.position


def test_two_backups_at_the_same_time_are_refused(server: Server) -> None:
    with server.connect() as other:
        rows(other, "BACKUP STAGE START")
        refused = quiescer(server, mode=AUTO).check(SCENE).refusals
    assert [refusal.code for refusal in refused] == ["blocked"]


def test_temporary_directories_are_listed_as_scratch(server: Server) -> None:
    report = quiescer(server).check(SCENE)
    assert [role for role, path in report.scratch if Path(path).is_absolute()].count("tmpdir") == 1

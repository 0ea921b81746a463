"""What check and guard say about a real MySQL server before anything is held."""

from __future__ import annotations

import pytest

from quiesced.errors import Refused
from tests.daemon.mariadb import Server, rows
from tests.daemon.mysql_holds import budget, in_background, quiescer
from tests.daemon.scenes import SCENE
from tests.waiting import wait_until

pytestmark = pytest.mark.lab


def refusals(server: Server, **given: object) -> dict[str, str]:
    return {refusal.code: refusal.message for refusal in quiescer(server, **given).check(SCENE).refusals}


def test_with_the_grants_of_the_example_a_server_at_rest_is_ready(server: Server) -> None:
    report = quiescer(server).check(SCENE)
    assert report.refusals == ()
    assert report.version.split(".")[0] >= "8" and "MariaDB" not in report.version
    assert report.mode == "lock"


def test_every_path_that_the_server_writes_is_listed(server: Server) -> None:
    home = server.datadir.parent
    server.ask(f"CREATE TABLE shop.far (id INT PRIMARY KEY) ENGINE=InnoDB DATA DIRECTORY='{home}/far'")
    try:
        paths = quiescer(server).check(SCENE).paths
    finally:
        server.ask("DROP TABLE shop.far")
    assert ("datadir", str(server.datadir)) in paths
    assert ("innodb_log_group_home_dir", str(home / "redo")) in paths
    assert ("innodb_undo_directory", str(server.datadir)) in paths
    assert ("log_bin_basename", str(home)) in paths
    assert ("tablespace", str(home / "far" / "shop" / "far.ibd")) in paths


@pytest.mark.parametrize(
    ("lacking", "advice"),
    [
        ("RELOAD", "GRANT RELOAD ON *.*"),
        ("PROCESS", "GRANT PROCESS ON *.*"),
        ("REPLICATION CLIENT", "GRANT REPLICATION CLIENT ON *.*"),
        ("SELECT ON performance_schema.*", "performance_schema"),
    ],
)
def test_a_missing_privilege_is_answered_with_the_grant(server: Server, lacking: str, advice: str) -> None:
    where = "" if " ON " in lacking else " ON *.*"
    server.ask(f"REVOKE {lacking}{where} FROM quiesced@localhost")
    try:
        found = refusals(server)
    finally:
        server.ask(f"GRANT {lacking}{where} TO quiesced@localhost")
    assert [words for words in found.values() if advice in words], found


def test_a_server_that_does_not_list_its_locks_is_refused_for_want_of_a_witness(server: Server) -> None:
    instrument = "UPDATE performance_schema.setup_instruments SET enabled = '{}' WHERE name = 'wait/lock/metadata/sql/mdl'"
    server.ask(instrument.format("NO"))
    try:
        found = refusals(server)
    finally:
        server.ask(instrument.format("YES"))
    assert [words for words in found.values() if "wait/lock/metadata/sql/mdl" in words], found


@pytest.mark.parametrize("statement", ["FLUSH TABLES WITH READ LOCK", "LOCK INSTANCE FOR BACKUP"])
def test_a_lock_of_somebody_else_is_refused(server: Server, statement: str) -> None:
    with server.connect() as other:
        rows(other, statement)
        found = refusals(server)
    assert list(found) == ["blocked"], found
    wait_until(lambda: refusals(server) == {})


def test_a_long_statement_is_named_and_a_short_one_is_no_obstacle(server: Server) -> None:
    server.ask("INSERT INTO shop.orders (item) VALUES ('book')")
    with in_background(server, "SELECT SLEEP(20) FROM shop.orders"):
        assert refusals(server, long_s=300.0) == {}
        found = wait_until(lambda: refusals(server, long_s=1.0), timeout_s=8)
    assert "SELECT SLEEP(20)" in found["blocked"]


def test_an_idle_transaction_is_named(server: Server) -> None:
    with server.connect() as other:
        rows(other, "BEGIN")
        rows(other, "INSERT INTO shop.orders (item) VALUES ('pen')")
        found = wait_until(lambda: refusals(server), timeout_s=8, every_s=0.15)
    assert "has kept a transaction open" in found["blocked"]


def test_what_check_refuses_prepare_refuses_too_and_leaves_no_session(server: Server) -> None:
    with server.connect() as other:
        rows(other, "FLUSH TABLES WITH READ LOCK")
        with pytest.raises(Refused) as raised:
            quiescer(server).prepare(budget(), SCENE, lambda _: None)
    assert raised.value.code == "blocked"
    wait_until(lambda: not server.sessions())


def test_a_wrong_password_is_refused_and_never_repeated(server: Server) -> None:
    with pytest.raises(Refused, match="cannot log in as quiesced") as raised:
        quiescer(server, password="not-the-thing").check(SCENE)
    assert "not-the-thing" not in str(raised.value)

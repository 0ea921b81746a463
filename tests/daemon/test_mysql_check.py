"""What check and guard say about a real MariaDB server before anything is held."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pymysql
import pytest

from quiesced.errors import Refused
from quiesced.quiescers.base import Budget
from quiesced.quiescers.mysql.quiescer import MysqlQuiescer
from quiesced.quiescers.mysql.session import LOCK, Options
from tests.daemon import mariadb
from tests.daemon.mariadb import Server, needs_mariadb, rows, session_id
from tests.daemon.scenes import SCENE
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_mariadb]

PLENTY = Budget(lambda: 2.0, 10.0)


@pytest.fixture(scope="module")
def empty_datadir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    datadir = tmp_path_factory.mktemp("mysql") / "empty"
    mariadb.install(datadir)
    return datadir


@pytest.fixture(scope="module")
def server(empty_datadir: Path) -> Iterator[Server]:
    datadir = Path(shutil.copytree(empty_datadir, empty_datadir.with_name("data")))
    redo = datadir.with_name("redo")
    redo.mkdir()
    (datadir / "ib_logfile0").rename(redo / "ib_logfile0")
    options = ("--log-bin=../binlog", "--server-id=1", f"--innodb-log-group-home-dir={redo}")
    with mariadb.running(datadir, *options) as server:
        server.ask("CREATE DATABASE shop")
        server.ask("CREATE TABLE shop.orders (id INT PRIMARY KEY, item TEXT) ENGINE=InnoDB")
        server.ask("INSERT INTO shop.orders VALUES (1, 'book')")
        yield server


def quiescer(server: Server, user: str = "root", password: str = "", long_statement_s: float = 30.0) -> MysqlQuiescer:
    options = Options(server.socket, user, password, long_statement_s, idle_transaction_s=1.0, mode=LOCK)
    return MysqlQuiescer("orders", options)


def refusals(server: Server, long_statement_s: float = 30.0) -> tuple[tuple[str, str], ...]:
    found = quiescer(server, long_statement_s=long_statement_s).check(SCENE).refusals
    return tuple((refusal.code, refusal.message) for refusal in found)


def test_a_server_at_rest_is_ready_and_names_its_version(server: Server) -> None:
    report = quiescer(server).check(SCENE)
    assert report.refusals == ()
    assert "MariaDB" in report.version


def test_every_directory_that_the_server_writes_is_listed(server: Server) -> None:
    home = server.datadir.parent
    paths = quiescer(server).check(SCENE).paths
    assert ("datadir", f"{server.datadir}/") in paths or ("datadir", str(server.datadir)) in paths
    assert ("innodb_log_group_home_dir", str(home / "redo")) in paths
    assert ("innodb_undo_directory", str(server.datadir)) in paths
    assert ("log_bin_basename", str(home)) in paths


def test_tables_that_lie_elsewhere_are_listed(server: Server, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    server.ask(f"CREATE TABLE shop.far (id INT PRIMARY KEY) ENGINE=InnoDB DATA DIRECTORY='{tmp_path}'")
    server.ask(f"CREATE TABLE shop.old (id INT PRIMARY KEY) ENGINE=MyISAM DATA DIRECTORY='{tmp_path}'")
    try:
        paths = quiescer(server).check(SCENE).paths
    finally:
        server.ask("DROP TABLE shop.far, shop.old")
    assert ("tablespace", str(tmp_path / "shop" / "far.ibd")) in paths
    assert ("link", str(tmp_path / "old.MYD")) in paths


@contextmanager
def session(server: Server, *statements: str, last_takes_long: bool = False) -> Iterator[int]:
    """Run statements in a session that stays open; the last one in the background when it takes long."""
    connection = server.connect()
    number = session_id(connection)

    def run_last() -> None:
        with suppress(pymysql.err.MySQLError):
            rows(connection, statements[-1])

    thread = threading.Thread(target=run_last)
    try:
        for statement in statements[: -1 if last_takes_long else None]:
            rows(connection, statement)
        if last_takes_long:
            thread.start()
            wait_until(lambda: server.ask(f"SELECT 1 FROM information_schema.processlist WHERE id={number} AND info > ''"))
        yield number
    finally:
        with suppress(pymysql.err.MySQLError):
            server.ask(f"KILL {number}")
        if last_takes_long:
            thread.join()
        if connection.open:
            connection.close()
        wait_until(lambda: number not in server.sessions())


def test_a_long_statement_is_named(server: Server) -> None:
    with session(server, "SELECT SLEEP(30) FROM shop.orders", last_takes_long=True) as number:
        found = wait_until(lambda: refusals(server, long_statement_s=0.5), timeout_s=8)
    assert found == (
        (
            "blocked",
            f'orders: session {number} (root@localhost) has run "SELECT SLEEP(30) FROM shop.orders" for '
            f"{found[0][1].partition(' for ')[2].split()[0]} s; wait for it or end it, then run again",
        ),
    )


def test_a_statement_below_the_limit_is_no_obstacle(server: Server) -> None:
    with session(server, "SELECT SLEEP(30) FROM shop.orders", last_takes_long=True):
        assert refusals(server, long_statement_s=300.0) == ()


def test_an_idle_transaction_is_named(server: Server) -> None:
    with session(server, "BEGIN", "UPDATE shop.orders SET item = 'pen'") as number:
        # InnoDB shows a copy of its transactions, made anew only when nobody has asked for 0.1 s (trx0i_s.cc).
        found = wait_until(lambda: refusals(server), timeout_s=8, every_s=0.15)
        assert found[0][0] == "blocked"
        assert f"session {number} (root@localhost) has kept a transaction open for" in found[0][1]


def test_a_change_of_a_table_is_named_however_young(server: Server) -> None:
    with (
        session(server, "LOCK TABLES shop.orders READ"),
        session(server, "ALTER TABLE shop.orders ADD COLUMN more INT", last_takes_long=True) as number,
    ):
        found = refusals(server)
    assert [code for code, _ in found] == ["blocked"]
    assert f"session {number}" in found[0][1] and "ALTER TABLE" in found[0][1]


def test_a_global_read_lock_of_somebody_else_is_refused(server: Server) -> None:
    with session(server, "FLUSH TABLES WITH READ LOCK"):
        assert "another session holds a global read lock" in refusals(server)[0][1]
    assert refusals(server) == ()


def test_a_backup_under_way_is_refused(server: Server) -> None:
    with session(server, "BACKUP STAGE START"):
        assert "another backup is under way" in refusals(server)[0][1]
    assert refusals(server) == ()


def test_what_check_refuses_prepare_refuses_too(server: Server) -> None:
    with session(server, "BACKUP STAGE START"), pytest.raises(Refused, match="another backup") as raised:
        quiescer(server).prepare(PLENTY, SCENE, lambda _: None)
    assert raised.value.code == "blocked"
    wait_until(lambda: not server.sessions())


def test_checking_leaves_no_prepared_transaction_and_no_session(server: Server) -> None:
    before = server.ask("SHOW MASTER STATUS")
    quiescer(server).check(SCENE)
    assert server.ask("XA RECOVER") == ()
    assert server.ask("SHOW MASTER STATUS") == before
    wait_until(lambda: not server.sessions())


@pytest.mark.parametrize(
    ("granted", "setting", "advice"),
    [
        ("USAGE", 1, "GRANT RELOAD, PROCESS, BINLOG MONITOR ON"),
        ("RELOAD, PROCESS", 1, "GRANT BINLOG MONITOR ON"),
        ("RELOAD, PROCESS, BINLOG MONITOR", 1, None),
        ("RELOAD, PROCESS, BINLOG MONITOR", 2, "GRANT SUPER ON"),
        ("RELOAD, PROCESS, BINLOG MONITOR, SUPER", 2, None),
    ],
)
def test_a_missing_privilege_is_answered_with_the_grant(
    server: Server, granted: str, setting: int, advice: str | None
) -> None:
    server.ask("CREATE OR REPLACE USER some@localhost IDENTIFIED BY 'thing'")
    server.ask(f"GRANT {granted} ON *.* TO some@localhost")
    server.ask(f"SET GLOBAL innodb_flush_log_at_trx_commit = {setting}")
    try:
        found = quiescer(server, "some", "thing").check(SCENE).refusals
    finally:
        server.ask("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    if advice is None:
        assert found == ()
    else:
        assert found[0].code == "application_unreachable"
        assert f"{advice} *.* TO 'some'@'localhost'" in found[0].message


def test_a_wrong_password_is_unreachable_and_never_repeated(server: Server) -> None:
    server.ask("CREATE OR REPLACE USER some@localhost IDENTIFIED BY 'thing'")
    with pytest.raises(Refused, match="cannot log in as some") as raised:
        quiescer(server, "some", "not-the-thing").check(SCENE)
    assert raised.value.code == "application_unreachable"
    assert "not-the-thing" not in str(raised.value)


def test_a_server_that_is_not_running_is_unreachable(tmp_path: Path) -> None:
    quiescer = MysqlQuiescer("orders", Options(tmp_path / "no.sock", "root", "", 5.0, 5.0))
    with pytest.raises(Refused, match="there is no socket") as raised:
        quiescer.check(SCENE)
    assert raised.value.code == "application_unreachable"


@pytest.mark.parametrize(
    "options",
    [(), ("--performance-schema=ON", "--performance-schema-instrument=wait/lock/metadata/sql/mdl=ON")],
    ids=["performance_schema off", "performance_schema on"],
)
def test_without_a_binary_log_the_counters_of_changed_rows_show_whether_anything_was_written(
    empty_datadir: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    datadir = Path(shutil.copytree(empty_datadir, tmp_path / "data"))
    with ExitStack() as stack:
        server = stack.enter_context(mariadb.running(datadir, *options))
        server.ask("CREATE DATABASE shop")
        server.ask("CREATE TABLE shop.orders (id INT PRIMARY KEY) ENGINE=InnoDB")
        positions = []
        for number in (1, 2):
            hold = quiescer(server).prepare(PLENTY, SCENE, lambda _: None)
            stack.callback(hold.release)
            assert not hold.witness().lock_shown
            hold.quiesce(PLENTY)
            first, second = hold.witness(), hold.witness()
            hold.release()
            assert first == second
            assert first.lock_shown and "refused the commit lock" in first.lock_evidence
            positions.append(first.position)
            server.ask(f"INSERT INTO shop.orders VALUES ({number})")
        assert positions[0] and positions[0] != positions[1]

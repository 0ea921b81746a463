"""A real SQLite database is held: writers of other processes wait, readers go on."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from quiesced.errors import Refused
from quiesced.quiescers.base import Budget
from quiesced.quiescers.sqlite import Options, SqliteHold, SqliteQuiescer
from tests.daemon.scenes import SCENE

PLENTY = Budget(lambda: 2.0, 10.0)

WRITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0.1)
try:
    connection.execute("INSERT INTO orders VALUES ('pen')")
    connection.commit()
except sqlite3.OperationalError as error:
    sys.exit(str(error))
finally:
    connection.close()
"""


APPLICATION = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
print("asks", flush=True)
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO orders VALUES ('half an order')")
print("writes", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["DELETE", "WAL"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "orders.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {request.param}")
        connection.execute("CREATE TABLE orders (item TEXT)")
        connection.commit()
    return path


def write(path: Path) -> str:
    """Write from a process of its own; say why it could not."""
    done = subprocess.run([sys.executable, "-c", WRITE, str(path)], check=False, capture_output=True, text=True, timeout=30)
    return done.stderr.strip()


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM orders").fetchone()[0])


def prepare(path: Path) -> SqliteHold:
    return SqliteQuiescer("orders", Options(path)).prepare(PLENTY, SCENE, lambda _: None)


@contextmanager
def held(path: Path) -> Iterator[SqliteHold]:
    hold = prepare(path)
    try:
        hold.quiesce(PLENTY)
        yield hold
    finally:
        hold.release()


def test_other_processes_cannot_write_until_it_lets_go(database: Path) -> None:
    with held(database) as hold:
        hold.witness()
        assert "locked" in write(database)
        assert count(database) == 0
        assert "locked" in write(database), "looking must not give the lock up"
    assert write(database) == ""
    assert count(database) == 1


def test_the_witness_shows_a_hold_that_stands_still(database: Path) -> None:
    with held(database) as hold:
        first, second = hold.witness(), hold.witness()
    assert first == second
    assert first.session_alive and first.lock_shown and first.durable
    assert first.position


def test_the_position_moves_when_somebody_else_commits(database: Path) -> None:
    hold = prepare(database)
    try:
        before = hold.witness()
        assert write(database) == ""
        after = hold.witness()
    finally:
        hold.release()
    assert before.position != after.position


def test_the_witness_of_what_is_not_held_says_so(database: Path) -> None:
    hold = prepare(database)
    try:
        witness = hold.witness()
    finally:
        hold.release()
    assert not (witness.session_alive or witness.lock_shown or witness.durable)


def test_a_witness_after_the_end_says_so(database: Path) -> None:
    with held(database) as hold:
        pass
    witness = hold.witness()
    assert not (witness.session_alive or witness.lock_shown)


def test_a_lock_that_was_lost_is_not_shown(database: Path) -> None:
    with held(database) as hold:
        hold._holder.execute("ROLLBACK")
        witness = hold.witness()
    assert not witness.session_alive and not witness.lock_shown


def test_a_writer_that_does_not_end_is_an_acquire_timeout(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        hold = prepare(database)
        with pytest.raises(Refused, match="another process kept the write lock") as raised:
            hold.quiesce(Budget(lambda: 0.1, 10.0))
        writer.execute("ROLLBACK")
    assert raised.value.code == "acquire_timeout"
    assert write(database) == ""


@pytest.mark.parametrize("times", [1, 2, 3])
def test_letting_go_any_number_of_times_is_letting_go_once(database: Path, times: int) -> None:
    hold = prepare(database)
    hold.quiesce(PLENTY)
    for _ in range(times):
        hold.release()
    assert write(database) == ""


def test_check_names_the_file_and_its_directory(database: Path) -> None:
    report = SqliteQuiescer("orders", Options(database)).check(SCENE)
    assert report.paths == (("database", str(database)), ("directory", str(database.parent)))
    assert report.refusals == ()


@pytest.mark.parametrize("content", [None, b"this is no database, but it is long enough to be one" * 20])
def test_what_is_no_database_is_unreachable_and_left_as_it_is(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "orders.db"
    if content:
        path.write_bytes(content)
    quiescer = SqliteQuiescer("orders", Options(path))
    assert [refusal.code for refusal in quiescer.check(SCENE).refusals] == ["application_unreachable"]
    with pytest.raises(Refused) as raised:
        quiescer.prepare(PLENTY, SCENE, lambda _: None)
    assert raised.value.code == "application_unreachable"
    assert (path.read_bytes() if path.exists() else None) == content


def test_a_hold_ends_with_its_process(database: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from quiesced.quiescers.base import Budget, Scene
from quiesced.quiescers.sqlite import Options, SqliteQuiescer
from tests.daemon.scenes import SCENE
budget = Budget(lambda: 2.0, 10.0)
hold = SqliteQuiescer("orders", Options(Path(sys.argv[1]))).prepare(budget, Scene(lambda _path: True), lambda _: None)
hold.quiesce(budget)
print("held", flush=True)
sys.stdin.read()
os._exit(1)
"""
    hooks = str(Path(__file__).parents[2] / "hooks")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": hooks},
    ) as process:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == b"held\n"
        assert "locked" in write(database)
        process.kill()
        process.wait()
    assert write(database) == ""


@contextmanager
def an_application(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that asks for the write lock and, once it has it, never commits; it has been killed afterwards."""
    command = [sys.executable, "-c", APPLICATION, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert said_by(process) == "asks"
            yield process
        finally:
            process.kill()
            process.wait(10)


def said_by(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("releases", [1, 2, 0], ids=["released once", "released twice", "never released"])
@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_nothing_of_a_writer_that_is_killed_stands_in_the_way(database: Path, when: str, releases: int) -> None:
    hold = prepare(database)
    if when == "before":
        with an_application(database) as dying:
            assert said_by(dying) == "writes"
    hold.quiesce(PLENTY)
    if when == "during":
        with an_application(database):
            pass  # killed while it waits for the lock
    seen = hold.witness()
    assert (seen.session_alive, seen.lock_shown, seen.durable) == (True, True, True)
    for _ in range(releases):
        hold.release()
    if when == "after" and releases:
        with an_application(database) as dying:
            assert said_by(dying) == "writes"
    hold.release()
    with held(database) as again:
        assert again.witness().lock_shown
    assert write(database) == ""
    assert count(database) == 1, "nothing of what was never committed"

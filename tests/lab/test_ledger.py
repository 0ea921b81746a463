"""The ledger: complete when the writers have stopped, however they were stopped, and readable while they write."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce_lab.engines.sqlite_restore import read_sqlite
from quiesce_lab.errors import LabError
from quiesce_lab.ledger import LedgerReader, LedgerWriter, Write, longest_gap_s
from quiesce_lab.load import SQLITE, Load
from quiesce_lab.machine import Machine
from tests.lab.machines import new_machine
from tests.waiting import wait_until


@pytest.fixture
def machine() -> Iterator[Machine]:
    with new_machine() as here:
        yield here


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "app.db"


@pytest.fixture
def load(machine: Machine, database: Path, tmp_path: Path) -> Load:
    return Load(machine, SQLITE, database, tmp_path / "ledger.csv", writers=3)


def add_all(book: LedgerWriter, writes: list[Write]) -> None:
    for write in writes:
        book.add(write)


def seen_by(reader: LedgerReader, count: int) -> None:
    wait_until(lambda: reader.acked == count)


def test_what_many_threads_add_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    book = LedgerWriter(path)
    sent = {
        writer: [Write(writer, seq, seq + 0.25, seq + 0.5 if seq % 3 else None) for seq in range(500)] for writer in range(4)
    }
    threads = [threading.Thread(target=add_all, args=(book, mine)) for mine in sent.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    book.close()
    read = LedgerReader(path).writes
    assert {writer: [write for write in read if write.writer == writer] for writer in sent} == sent


def test_an_acknowledgement_is_seen_at_once_and_not_when_a_buffer_is_full(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    reader = LedgerReader(path)
    with contextlib.closing(LedgerWriter(path)) as book:
        for seq in range(3):
            book.add(Write(1, seq, 1.0, 2.0))
            seen_by(reader, seq + 1)


def test_a_line_that_is_still_being_written_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    reader = LedgerReader(path)
    assert list(reader.writes) == []
    path.write_text("1,1,0.5,0.75\n1,2,1.5,1.")
    assert list(reader.writes) == [Write(1, 1, 0.5, 0.75)]
    with path.open("a") as file:
        file.write("75\n1,3,2.5,\n")
    assert list(reader.writes) == [Write(1, 1, 0.5, 0.75), Write(1, 2, 1.5, 1.75), Write(1, 3, 2.5, None)]
    assert reader.acked == 2


@pytest.mark.parametrize(
    ("acked_at", "since", "until", "gap_s"),
    [
        pytest.param({1: [1, 2, 3, 4]}, 0, 4, 1, id="even"),
        pytest.param({1: [1, 2, 5, 6]}, 0, 6, 3, id="a stall inside"),
        pytest.param({1: [1, 9, 10]}, 4, 5, 8, id="a stall around the window counts in full"),
        pytest.param({1: [1, 5, 6, 7]}, 5.5, 7, 1, id="a stall before the window does not count"),
        pytest.param({1: [1, 2]}, 0, 10, 8, id="no commit until the end"),
        pytest.param({1: [1, 2, 3, 4], 2: [1, 4]}, 0, 4, 3, id="the writer that waited longest"),
        pytest.param({}, 3, 5, 2, id="no commit at all"),
    ],
)
def test_longest_gap(acked_at: dict[int, list[float]], since: float, until: float, gap_s: float) -> None:
    writes = [Write(writer, seq, at - 0.1, at) for writer, times in acked_at.items() for seq, at in enumerate(times)]
    assert longest_gap_s(writes, since, until) == gap_s


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0, 100), st.floats(0, 100))
def test_a_silent_window_is_never_reported_as_shorter(times: list[float], one: float, other: float) -> None:
    since, until = sorted((one, other))
    writes = [Write(1, seq, at, at) for seq, at in enumerate(sorted(times))]
    if not any(since < at < until for at in times) and min(times) <= since < until:
        assert longest_gap_s(writes, since, until) >= until - since - 1e-9


def test_a_stopped_load_has_every_row_in_its_ledger(load: Load, database: Path) -> None:
    load.start()
    load.wait_until_acked(300)
    load.stop()
    acked = {write.key for write in load.writes if write.acked_at is not None}
    rows = set(read_sqlite(database).rows)
    assert len(acked) >= 300
    assert acked <= rows <= {write.key for write in load.writes}


def test_a_load_that_is_started_again_goes_on_counting(load: Load, database: Path) -> None:
    for count in (100, 200):
        load.start()
        load.wait_until_acked(count)
        load.stop()
    keys = [write.key for write in load.writes]
    assert len(keys) == len(set(keys))
    assert set(read_sqlite(database).rows) <= set(keys)


def waits_for_a_lock(pid: int) -> bool:
    """Whether a writer sleeps between two attempts, which is how SQLite waits."""
    return any("nanosleep" in (task / "wchan").read_text() for task in Path(f"/proc/{pid}/task").iterdir())


def test_a_write_that_waits_for_a_lock_when_the_load_stops_was_not_acknowledged(load: Load, database: Path) -> None:
    load.start()
    load.wait_until_acked(50)
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as session:
        session.execute("BEGIN IMMEDIATE")
        wait_until(lambda: waits_for_a_lock(load.pid))
        load.stop()
        rows = {(writer, seq) for writer, seq in session.execute("SELECT writer, seq FROM writes")}
    unacked = {write.key for write in load.writes if write.acked_at is None}
    assert unacked
    assert {write.key for write in load.writes if write.acked_at is not None} == rows


def test_a_killed_load_is_an_error_and_not_an_empty_ledger(load: Load) -> None:
    load.start()
    load.wait_until_acked(10)
    os.kill(load.pid, signal.SIGKILL)
    with pytest.raises(LabError, match="does not run"):
        load.wait_until_acked(10**9)
    with pytest.raises(LabError, match="status -9"):
        load.stop()


def test_a_rate_is_kept(load: Load) -> None:
    load.start(rate=100)
    load.wait_until_acked(100)
    load.stop()
    times = sorted(write.acked_at for write in load.writes if write.acked_at is not None)
    assert 0.5 < times[99] - times[0] < 5

"""The end of the WAL on disk, as it is read from the files of a real server, and as pg_waldump tells it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from quiesced.quiescers.postgres.wal import FURTHEST_BYTES, MOST_CHECKED_BYTES, Wal, crc32c
from tests.daemon.postgres import install, needs_postgres, program, run_as_postgres, running

PAGE = 8192
_LSN = re.compile(r"tx: +\d+, lsn: (\S+), prev")
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Written:
    """WAL of a server that was killed: its files, where each record from ``known`` begins, and where the last one ends.

    ``switches`` are those with which a segment is left, whatever is behind them in it.
    """

    wal: Wal
    known: str
    starts: tuple[int, ...]
    switches: frozenset[int]
    end: int

    def whole_before(self, place: int) -> int:
        """Where the last record ends that lies before a place, as the place at which the next one begins."""
        both = zip(self.starts, (*self.starts[1:], self.end))  # noqa: B905 - Python 3.9 has no strict
        needed = {end: start + 24 if start in self.switches else _without_header(self.wal, end) for start, end in both}
        return max((end for end, place_needed in needed.items() if place_needed <= place), default=self.starts[0])


def number_of(position: str) -> int:
    high, low = position.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def text_of(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def next_start(wal: Wal, position: int) -> int:
    """Where the record behind a position begins: behind the header of a page that begins there."""
    if position % PAGE:
        return position
    return position + (24 if position % wal.segment_bytes else 40)


def _without_header(wal: Wal, start: int) -> int:
    return start - start % PAGE if start % PAGE in (24, 40) and next_start(wal, start - start % PAGE) == start else start


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """Records of every size over several segments of 1 MiB, one of them left early."""
    base = Path("/tmp") / tmp_path_factory.mktemp("wal").name  # where the server's user gets in
    datadir = install(base, more=("--wal-segsize=1",))
    try:
        with running(datadir, run_dir=base / "run", settings=["autovacuum=off", "wal_keep_size=64MB"]) as server:
            server.ask("CREATE TABLE t (n int, payload text)")
            server.ask("ALTER TABLE t ALTER payload SET STORAGE EXTERNAL")
            known = server.value("SELECT pg_current_wal_insert_lsn()::text")
            for size in (10, 300, 9_000, 70_000, 20, 300_000, 1_900):
                server.ask(f"INSERT INTO t SELECT i, repeat(md5(i::text), {size // 32 + 1}) FROM generate_series(1, 9) i")
            server.ask("CHECKPOINT")
            server.ask("SELECT pg_switch_wal()")
            server.ask("UPDATE t SET n = n + 1")
            end = server.value("SELECT pg_current_wal_flush_lsn()::text")
            server.process.kill()
        directory = datadir / "pg_wal"
        said = run_as_postgres(program("pg_waldump"), "-p", directory, "-s", known, "-e", end).stdout
        starts = tuple(map(number_of, _LSN.findall(said)))
        switches = frozenset(number_of(_LSN.findall(line)[0]) for line in said.splitlines() if "SWITCH" in line)
        assert switches
        yield Written(Wal(directory, 1 << 20, PAGE), known, starts, switches, number_of(end))
    finally:
        shutil.rmtree(base)


@needs_postgres
def test_the_end_is_that_of_the_last_record_whoever_vouches_for_how_much(written: Written) -> None:
    for vouched in (written.known, text_of(written.starts[len(written.starts) // 2]), text_of(written.end)):
        checked = MOST_CHECKED_BYTES
        found = Wal(written.wal.directory, 1 << 20, PAGE).end(1, written.known, vouched)
        if written.end - number_of(vouched) > checked:
            assert found is None, "too much to be checked while writers wait"
        else:
            assert found is not None
            assert next_start(written.wal, number_of(found)) == next_start(written.wal, written.end)


@needs_postgres
@MANY
@given(st.floats(0, 1))
def test_what_did_not_reach_the_disk_is_not_counted(written: Written, tmp_path: Path, share: float) -> None:
    """Everything from some byte on is missing: the end is that of the last record that is there as a whole."""
    place = written.starts[0] + int(share * (written.end - written.starts[0]))
    cut = cut_at(written.wal, tmp_path, place)
    vouched = max(number_of(written.known), place - place % PAGE)

    found = cut.end(1, written.known, text_of(vouched))

    assert found is not None
    padded = {next_start(cut, written.whole_before(place + padding)) for padding in range(8)}
    assert next_start(cut, number_of(found)) in padded


@needs_postgres
@MANY
@given(st.integers(1, 40), st.integers(0, 10_000))
def test_a_record_that_the_server_does_not_vouch_for_counts_only_when_its_checksum_is_right(
    written: Written, tmp_path: Path, back: int, place: int
) -> None:
    start, end = (*written.starts, written.end)[-back - 1], (*written.starts, written.end)[-back]
    broken = copied(written.wal, tmp_path)
    at = start + 24 + place % max(1, _without_header(broken, end) - start - 31)
    assume(at % PAGE >= 40)  # a page's header is no part of a record
    path = broken.file_of(1, at)
    content = bytearray(path.read_bytes())
    content[at % broken.segment_bytes] ^= 0xFF
    path.write_bytes(content)

    found = broken.end(1, written.known, text_of(start))

    assert found is not None
    assert next_start(broken, number_of(found)) == start


@needs_postgres
def test_what_cannot_be_told_is_not_told(written: Written, tmp_path: Path) -> None:
    far = written.end + FURTHEST_BYTES
    assert written.wal.end(1, written.known, text_of(far)) is None
    assert written.wal.end(1, text_of(written.end), written.known) is None
    middle = written.starts[1] + 8
    assert written.wal.end(1, text_of(middle), text_of(written.end)) is None, "no record ends there"
    with pytest.raises(FileNotFoundError):
        Wal(tmp_path, 1 << 20, PAGE).end(1, written.known, text_of(written.end))


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def copied(wal: Wal, tmp_path: Path) -> Wal:
    directory = tmp_path / "wal"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for path in wal.directory.glob("0*"):
        shutil.copy(path, directory)
    return Wal(directory, wal.segment_bytes, wal.page_bytes)


def cut_at(wal: Wal, tmp_path: Path, place: int) -> Wal:
    cut = copied(wal, tmp_path)
    first = cut.file_of(1, place)
    for path in cut.directory.glob("0*"):
        if path.name > first.name:
            path.unlink()
    with first.open("r+b") as file:
        file.seek(place % cut.segment_bytes)
        file.write(b"\xa5" * (cut.segment_bytes - place % cut.segment_bytes))
    return cut

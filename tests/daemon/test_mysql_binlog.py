"""Where a binary log ends, to the transaction: the files of a real server (tests/daemon/binlog), whole and cut anywhere."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from quiesced.quiescers.mysql.binlog import BinaryLog
from quiesced.quiescers.mysql.binlog_events import Malformed, header

FILES = Path(__file__).with_name("binlog")
SOURCE = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
BEFORE = 245
"""Where the first transaction of the second file begins."""
ENDS = {
    BEFORE: f"{SOURCE}:1-3:mytag:1-2",
    525: f"{SOURCE}:1-3:mytag:1-3",
    775: f"{SOURCE}:1-4:mytag:1-3",
    1048: f"{SOURCE}:1-5:mytag:1-3",
    1212: f"{SOURCE}:1-6:mytag:1-3",
}
"""What has been executed where each transaction of the second file ends."""
SIZE = 1235
"""Of the second file: behind the last transaction the server noted its end."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FILES, tmp_path / "data"))


@pytest.fixture
def log(home: Path) -> BinaryLog:
    return BinaryLog(home, home / "binlog.index")


def plenty() -> float:
    return 60.0


def at(end: int, gtid: str) -> dict[str, str]:
    return {"gtid": gtid, "log_file": "binlog.000002", "log_offset": str(end)}


def test_the_last_file_says_it_all(log: BinaryLog) -> None:
    assert log.read(plenty) == at(SIZE, ENDS[1212])


def test_a_transaction_that_is_not_whole_does_not_count_wherever_it_was_cut(home: Path) -> None:
    content = (home / "binlog.000002").read_bytes()
    assert len(content) == SIZE
    for size in range(BEFORE, SIZE + 1):
        (home / "binlog.000002").write_bytes(content[:size])
        end = size if size == SIZE else max(end for end in ENDS if end <= size)
        assert BinaryLog(home, home / "binlog.index").read(plenty) == at(end, ENDS[min(end, 1212)])


def test_a_file_is_read_on_from_where_it_ended_however_it_grew(home: Path, log: BinaryLog) -> None:
    content = (home / "binlog.000002").read_bytes()
    for size in range(BEFORE, SIZE, 7):
        (home / "binlog.000002").write_bytes(content[:size])
        end = max(end for end in ENDS if end <= size)
        assert log.read(plenty) == at(end, ENDS[end])
    (home / "binlog.000002").write_bytes(content)
    assert log.read(plenty) == at(SIZE, ENDS[1212])


def test_what_was_read_is_not_read_again(home: Path, log: BinaryLog) -> None:
    many(home)
    log.read(plenty)
    with (home / "binlog.000002").open("r+b") as file:
        file.seek(100_000)
        file.write(b"\xff" * 1000)  # nobody does that; whoever looks there again is found out
    assert log.read(plenty)["gtid"] == f"{SOURCE}:1-9999:mytag:1-2"


def test_reading_stops_when_the_time_is_over_and_goes_on_there_the_next_time(home: Path, log: BinaryLog) -> None:
    many(home)
    for _ in range(2):
        with pytest.raises(TimeoutError, match="was read to"):
            log.read(lambda: 0.0)
    assert log.read(plenty)["gtid"] == f"{SOURCE}:1-9999:mytag:1-2"


def many(home: Path) -> None:
    """Make the second file a long one: the row that was compressed, again and again, under one number after the other."""
    content = (home / "binlog.000002").read_bytes()
    one = bytearray(content[525:775])
    with (home / "binlog.000002").open("wb") as file:
        file.write(content[:BEFORE])
        for number in range(4, 10_000):
            struct.pack_into("<q", one, 19 + 17, number)
            file.write(one)


def test_the_file_that_the_server_rotated_to_is_the_one_that_counts(home: Path) -> None:
    index = home / "binlog.index"
    whole = index.read_text()
    index.write_text(whole.splitlines()[0] + "\n")
    log = BinaryLog(home, index)
    assert log.read(plenty) == {"gtid": f"{SOURCE}:1-3:mytag:1-2", "log_file": "binlog.000001", "log_offset": "1449"}
    index.write_text(whole)
    assert log.read(plenty) == at(SIZE, ENDS[1212])


def test_a_server_whose_logs_were_reset_has_executed_nothing_of_before(home: Path, log: BinaryLog) -> None:
    log.read(plenty)
    reset = (FILES / "binlog.000001").read_bytes()
    (home / "binlog.000002").write_bytes(reset)
    assert log.read(plenty)["gtid"] == f"{SOURCE}:1-3:mytag:1-2"


def test_what_the_server_has_executed_besides_counts_too(log: BinaryLog) -> None:
    """A replica that once did not log what it applied has it in a table alone (manual, mysql.gtid_executed)."""
    log.says(f"{SOURCE}:1-2:90-91")
    assert log.read(plenty)["gtid"] == f"{SOURCE}:1-6:90-91:mytag:1-3"
    log.says(f"{SOURCE}:1-2")
    assert log.read(plenty)["gtid"] == f"{SOURCE}:1-6:mytag:1-3"


def test_without_gtids_there_is_a_place_all_the_same(home: Path) -> None:
    content = bytearray((home / "binlog.000002").read_bytes()[:1212])
    start = BEFORE
    while start < len(content):
        kind, length = header(bytes(content), start)
        if kind == 33:
            content[start + 4] = 34  # gtid_mode = OFF: an anonymous one, in the same form
        start += length
    untagged = content[525:]
    (home / "binlog.000002").write_bytes(content[:127] + previous_of_nothing() + untagged)
    assert BinaryLog(home, home / "binlog.index").read(plenty) == {
        "log_file": "binlog.000002",
        "log_offset": str(127 + len(previous_of_nothing()) + len(untagged)),
    }


def previous_of_nothing() -> bytes:
    """What the first file has: 31 bytes."""
    return (FILES / "binlog.000001").read_bytes()[127:158]


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda content: b"\xfdbin" + content[4:], "no binary log that can be read"),
        (lambda content: content[:100], "ends at its beginning"),
        (lambda content: content[:140], "ends at its beginning"),
        (lambda content: content[:200], "does not say which transactions lie before it"),
        (lambda content: content[:BEFORE] + bytes(40), "type 0 and 0 bytes, is not known"),
        (lambda content: content[: BEFORE + 4] + b"\x63" + content[BEFORE + 5 :], "type 99"),
        (lambda content: content[: 525 + 19 + 49] + b"\x00" + content[525 + 19 + 50 :], "is not known"),
    ],
    ids=["encrypted", "cut early", "cut at a header", "cut in the set", "zeros", "unknown", "a length of nothing"],
)
def test_a_file_that_cannot_be_read_is_no_guess(home: Path, log: BinaryLog, spoil: object, complaint: str) -> None:
    assert callable(spoil)
    file = home / "binlog.000002"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(Malformed, match=complaint):
        log.read(plenty)


@pytest.mark.parametrize("spoil", ["index", "file"])
def test_files_that_are_not_there_are_said_so(home: Path, log: BinaryLog, spoil: str) -> None:
    (home / ("binlog.index" if spoil == "index" else "binlog.000002")).unlink()
    with pytest.raises(FileNotFoundError):
        log.read(plenty)


def test_an_index_without_a_file_is_said_so(home: Path, log: BinaryLog) -> None:
    (home / "binlog.index").write_text("")
    with pytest.raises(Malformed, match="names no file"):
        log.read(plenty)

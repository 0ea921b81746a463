"""Where MySQL's binary log ends on disk, to the transaction: what a restored server says that it has executed.

Behind a freeze the server cannot be asked: a commit that waits for the thaw keeps the log's mutex, and whoever asks for the
position waits behind it. So the files are read while they are frozen, as recovery reads them: the last one that the index
names, from the set of transactions before it to the last transaction that is whole. What can be read beforehand is, and it
is not read twice: while the disks are frozen, only what came last is left.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

from quiesced.quiescers.mysql import binlog_events as events
from quiesced.quiescers.mysql.gtids import GtidSet

_MAGIC = b"\xfebin"
_PIECE_BYTES = 256 << 10
_BEGINNING_BYTES = 4 << 10
"""By these a file is known again: when it was made, and which transactions lie before it."""


class BinaryLog:
    """The files of one server's log, read on with each ``read``."""

    def __init__(self, datadir: Path, index: Path) -> None:
        self._datadir = datadir
        self._index = index
        self._said = self._logged = GtidSet()
        self._file, self._beginning, self._read_to = Path(), b"", 0

    def says(self, executed: str) -> None:
        """Keep what the server says that it has executed: more than its files tell, where it once did not log all."""
        self._said = GtidSet()
        self._said.add_text(executed)

    def read(self, left_s: Callable[[], float]) -> dict[str, str]:
        """Read on to the last whole transaction on disk; returns the position there.

        Raises OSError, Malformed, or TimeoutError when no time is left; then the next call goes on where this one ended.
        """
        path = self._last_file()
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._read_on(path, fd, left_s)
        finally:
            os.close(fd)
        found = {"gtid": str(self._said | self._logged), "log_file": path.name, "log_offset": str(self._read_to)}
        return {key: value for key, value in found.items() if value}

    def _last_file(self) -> Path:
        """Name the newest file. An entry of the index is relative to the data directory, unless it is absolute."""
        lines = self._index.read_text(encoding="utf-8").splitlines()
        if not lines:
            raise events.Malformed(f"{self._index} names no file")
        return Path(os.path.normpath(self._datadir / lines[-1]))

    def _read_on(self, path: Path, fd: int, left_s: Callable[[], float]) -> None:
        size = os.fstat(fd).st_size  # what is written from here on is left for the next call
        beginning = os.pread(fd, _BEGINNING_BYTES, 0)
        if (path, beginning) != (self._file, self._beginning) or size < self._read_to:
            self._file, self._beginning, self._logged, self._read_to = path, b"", GtidSet(), 0
            self._read_to = self._begin(fd, size)
            self._beginning = beginning
        while self._read_to < size:
            rest = size - self._read_to
            taken = self._take(os.pread(fd, min(rest, _PIECE_BYTES), self._read_to), rest)
            if not taken:
                return  # the rest of a transaction that never got whole: recovery cuts it off
            self._read_to += taken
            if left_s() <= 0:
                raise TimeoutError(f"{path.name} was read to {self._read_to} of {size} bytes only")

    def _begin(self, fd: int, size: int) -> int:
        """Read what each file begins with: what it is, its format, and which transactions lie before it."""
        at = len(_MAGIC)
        if os.pread(fd, at, 0) != _MAGIC:
            raise events.Malformed(f"{self._file.name} is no binary log that can be read (it may be encrypted)")
        kind, length = self._header(fd, at)
        at += length
        kind, length = self._header(fd, at)
        if kind != events.PREVIOUS_GTIDS or at + length > size:
            raise events.Malformed(f"{self._file.name} does not say which transactions lie before it")
        events.add_previous(os.pread(fd, length, at), self._logged)
        return at + length

    def _header(self, fd: int, at: int) -> tuple[int, int]:
        content = os.pread(fd, events.HEADER_BYTES, at)
        if len(content) < events.HEADER_BYTES:
            raise events.Malformed(f"{self._file.name} ends at its beginning")
        return events.header(content, 0)

    def _take(self, piece: bytes, rest: int) -> int:
        """Take every event that begins in this piece and is whole; returns by how much to go on."""
        at = 0
        while at + events.HEADER_BYTES <= len(piece):
            kind, length = events.header(piece, at)
            begins = kind in events.TRANSACTIONS
            if at + length > (len(piece) if begins else rest):
                break
            if begins:
                source, tag, number, length = events.transaction(kind, piece, at)
            if length < events.HEADER_BYTES or kind not in events.KNOWN:
                where = f"at {self._read_to + at} of {self._file.name}"
                raise events.Malformed(f"the event {where}, of type {kind} and {length} bytes, is not known")
            if at + length > rest:
                break
            if begins and source:
                self._logged.add(source, tag, number, number + 1)
            at += length
        return at

"""Where the WAL ends on disk, to the record: what a restored server replays to.

The server tells up to where it *has* written, which may be off by a little either way. It writes whole pages, so that a
record which somebody else has just put into the last one reaches the disk with it; and a page that is full may end within a
record (PostgreSQL, XLogWrite). So while its filesystem is frozen the files are read: from a position at which a record is
known to end, record by record, as recovery does (access/xlogrecord.h, access/xlog_internal.h, access/xlogreader.c).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

FURTHEST_BYTES = 4 << 20
"""How far the server's own word is followed at most: writers wait meanwhile."""
MOST_CHECKED_BYTES = 256 << 10
"""How much is looked at behind it at most: checksums are reckoned here byte by byte."""

_PAGE = struct.Struct("=HHIQI")
"""Magic, flags, timeline, position, and how much is left of the record that goes on in it."""
_HEADER_BYTES, _FIRST_HEADER_BYTES = 24, 40
_GOES_ON = 1
_RECORD = struct.Struct("=IIQBBxxI")
"""Length, transaction, position of the record before, kind, resource manager, checksum."""
_BEFORE_CHECKSUM = 20
_SWITCH = (0, 0x40)
"""Resource manager and kind of the record behind which the rest of a segment is empty."""


@dataclass(frozen=True)
class Wal:
    """The files of one server's WAL."""

    directory: Path
    segment_bytes: int
    page_bytes: int

    def file_of(self, timeline: int, position: int) -> Path:
        """Name the segment that a position lies in (XLogFileName)."""
        number, per_id = position // self.segment_bytes, (1 << 32) // self.segment_bytes
        return self.directory / f"{timeline:08X}{number // per_id:08X}{number % per_id:08X}"

    def end(self, timeline: int, known: str, written: str) -> Optional[str]:
        """Return the position at which the last whole record on disk ends; None where that cannot be told.

        ``known`` is a position at which a record ends, and the server's word is that all is there up to ``written``. Raises
        OSError when a segment cannot be read.
        """
        start, vouched = _number(known), _number(written)
        if not 0 <= vouched - start <= FURTHEST_BYTES:
            return None
        self.file_of(timeline, start).stat()  # one that comes behind it may not be there yet; this one has to be
        pages = _Pages(self, timeline)
        try:
            found = _end(pages, start, vouched)
        finally:
            pages.close()
        return None if found is None else f"{found >> 32:X}/{found & 0xFFFFFFFF:X}"


class _Pages:
    """Reads pages of the WAL; the last one is kept."""

    def __init__(self, wal: Wal, timeline: int) -> None:
        self.wal = wal
        self._timeline = timeline
        self._path, self._fd = Path(), -1
        self._at, self._page = -1, b""

    def page(self, position: int) -> bytes:
        """Return the page that a position lies in; empty when the disk has another one, or none, in its place."""
        at = position - position % self.wal.page_bytes
        if at != self._at:
            self._at, self._page = at, self._read(at)
        return self._page

    def _read(self, at: int) -> bytes:
        path = self.wal.file_of(self._timeline, at)
        if path != self._path:
            self.close()
            try:
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return b""
            self._path = path
        content = os.pread(self._fd, self.wal.page_bytes, at % self.wal.segment_bytes)
        whole = len(content) == self.wal.page_bytes and _PAGE.unpack_from(content)[3] == at
        return content if whole else b""

    def header_bytes(self, position: int) -> int:
        """How long the page header is that begins there; 0 within a page."""
        if position % self.wal.page_bytes:
            return 0
        return _HEADER_BYTES if position % self.wal.segment_bytes else _FIRST_HEADER_BYTES

    def close(self) -> None:
        """Close the segment. Any number of times."""
        fd, self._fd, self._path = self._fd, -1, Path()
        if fd >= 0:
            os.close(fd)


def _end(pages: _Pages, start: int, vouched: int) -> Optional[int]:
    end, before, checked_bytes = start, 0, 0
    while checked_bytes <= MOST_CHECKED_BYTES:
        found = _record(pages, end, before, vouched)
        if found is None:
            # Short of the server's word only where that ends with a page, and so within a record.
            return end if end >= vouched or not vouched % pages.wal.page_bytes else None
        before, length, end = found
        checked_bytes += length if end > vouched else 0
    return None


def _record(pages: _Pages, end: int, before: int, vouched: int) -> Optional[tuple[int, int, int]]:
    """Return where the next record begins, its length, and where it ends; None when there is no whole one."""
    page, header_bytes = pages.page(end), pages.header_bytes(end)
    if not page or (header_bytes and _PAGE.unpack_from(page)[1] & _GOES_ON):
        return None
    start = end + header_bytes
    (length,) = struct.unpack_from("=I", page, start % pages.wal.page_bytes)
    read = _content(pages, start, length) if length >= _RECORD.size else None
    if read is None:
        return None
    content, behind = read
    _, _, previous, kind, manager, checksum = _RECORD.unpack_from(content)
    if before and previous != before:
        return None
    if behind > vouched and checksum != crc32c(content[_RECORD.size :] + content[:_BEFORE_CHECKSUM]):
        return None
    if (manager, kind & 0xF0) == _SWITCH:
        behind += -behind % pages.wal.segment_bytes
    return start, length, behind + -behind % 8


def _content(pages: _Pages, start: int, length: int) -> Optional[tuple[bytes, int]]:
    """Read a record over as many pages as it has, and say where it ends; None when one of them is not there."""
    parts, position, left = [], start, length
    while left:
        page, header_bytes = pages.page(position), pages.header_bytes(position)
        if not page or (header_bytes and not _goes_on(page, left)):
            return None
        position += header_bytes
        within = position % pages.wal.page_bytes
        parts.append(page[within : within + left])
        position, left = position + len(parts[-1]), left - len(parts[-1])
    return b"".join(parts), position


def _goes_on(page: bytes, left: int) -> bool:
    _, flags, _, _, said = _PAGE.unpack_from(page)
    return bool(flags & _GOES_ON) and said == left


def _number(position: str) -> int:
    high, low = position.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def crc32c(content: bytes) -> int:
    """Reckon the checksum of a record (port/pg_crc32c.h: Castagnoli)."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _shifted(crc: int) -> int:
    for _ in range(8):
        crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc


_TABLE = tuple(map(_shifted, range(256)))

"""The events of MySQL's binary log that say which transactions it holds, and how long each is.

Formats: libs/mysql/binlog/event/control_events.h, sql/rpl_gtid_set.cc and libs/mysql/serialization/readme.md of MySQL 9.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from quiesced.quiescers.mysql.gtids import GtidSet

HEADER_BYTES = 19
_HEADER = struct.Struct("<4xB4xI6x")
"""Of the header that every event has: its type and its length."""
PREVIOUS_GTIDS = 35
GTID, ANONYMOUS, TAGGED = TRANSACTIONS = (33, 34, 42)
"""What every transaction begins with."""
KNOWN = frozenset((*TRANSACTIONS, 3, 4, 15, 26, 27, PREVIOUS_GTIDS))
"""These, and what may lie between two of them: stop, rotate, format, incident, heartbeat."""

_PLAIN = struct.Struct("<x16sq17x")
"""Of an event without a tag: source and number, up to the first timestamp."""
_TIMESTAMP_BYTES = 7
_TWO_TIMESTAMPS = 0x80
"""Set in the last byte of the first timestamp where a second one follows."""
_LENGTH_BYTES = {0xFB: 0, 0xFC: 2, 0xFD: 3, 0xFE: 8}
"""First byte of a packed length above 250, and how many follow."""
_SOURCE, _NUMBER, _TAG, _LENGTH = 1, 2, 3, 8
"""Fields of an event with a tag; each of the others is one integer."""


class Malformed(ValueError):
    """An event is not what it should be."""


class Transaction(NamedTuple):
    """Which one it is, and its whole length in bytes. Without GTIDs the source is empty."""

    source: str
    tag: str
    number: int
    length: int


def header(content: bytes, at: int) -> tuple[int, int]:
    """Read the type and the length in bytes of the event that begins there."""
    kind, length = _HEADER.unpack_from(content, at)
    return kind, length


def transaction(kind: int, content: bytes, at: int) -> Transaction:
    """Read what a transaction begins with, of an event that begins there. Raises Malformed."""
    try:
        if kind == TAGGED:
            return _tagged(_Fields(content, at + HEADER_BYTES))
        return _plain(kind, content, at + HEADER_BYTES)
    except (struct.error, LookupError, ValueError) as error:
        raise Malformed(f"an event of type {kind} cannot be read") from error


def add_previous(content: bytes, to: GtidSet) -> None:
    """Add the set of transactions before this file, of the event that begins here. Raises Malformed."""
    try:
        for source, tag, first, behind in _previous(_Fields(content, HEADER_BYTES)):
            to.add(source, tag, first, behind)
    except (struct.error, LookupError, ValueError) as error:
        raise Malformed("the set of previous GTIDs cannot be read") from error


def _plain(kind: int, content: bytes, at: int) -> Transaction:
    source, number = _PLAIN.unpack_from(content, at)
    at += _PLAIN.size
    at += _TIMESTAMP_BYTES * (2 if content[at + _TIMESTAMP_BYTES - 1] & _TWO_TIMESTAMPS else 1)
    length = content[at]
    if length > 250:
        length = int.from_bytes(content[at + 1 : at + 1 + _LENGTH_BYTES[length]], "little")
    return Transaction(_source(source) if kind == GTID else "", "", number, length)


@lru_cache(maxsize=64)
def _source(of: bytes) -> str:
    return str(uuid.UUID(bytes=of))


def _tagged(fields: _Fields) -> Transaction:
    ends_at = fields.at
    fields.integer()  # version of the format
    ends_at += fields.integer()
    fields.integer()  # the last field that must be known
    source, tag, found = "", "", {_NUMBER: 0, _LENGTH: 0}
    while fields.at < ends_at:
        number = fields.integer()
        if number == _SOURCE:
            source = _source(bytes(fields.integer() for _ in range(16)))
        elif number == _TAG:
            tag = fields.text()
        else:
            found[number] = fields.integer()
    return Transaction(source, tag, found[_NUMBER] >> 1, found[_LENGTH])  # its lowest bit is the sign


def _previous(fields: _Fields) -> Iterator[tuple[str, str, int, int]]:
    count = fields.fixed()
    tagged = bool(count >> 56)
    for _ in range(count >> 8 & 0xFFFFFFFFFFFF if tagged else count):
        source = _source(fields.take(16))
        tag = fields.text() if tagged else ""
        for _ in range(fields.fixed()):
            yield source, tag, fields.fixed(), fields.fixed()


class _Fields:
    """Reads one field after the other. Raises LookupError at the end."""

    def __init__(self, content: bytes, at: int) -> None:
        self._content = content
        self.at = at

    def take(self, count: int) -> bytes:
        """Read so many bytes."""
        taken = self._content[self.at : self.at + count]
        if len(taken) < count:
            raise LookupError("the event ends within a field")
        self.at += count
        return taken

    def fixed(self) -> int:
        """Read an integer of eight bytes."""
        return int.from_bytes(self.take(8), "little")

    def integer(self) -> int:
        """Read an integer of one to nine bytes: as many as the first one has trailing ones, and one."""
        first = self.take(1)[0]
        more = ((first ^ 0xFF) & -(first ^ 0xFF)).bit_length() - 1 if first != 0xFF else 8
        whole = int.from_bytes(bytes((first,)) + self.take(more), "little")
        return whole >> min(more + 1, 8)

    def text(self) -> str:
        """Read a text, which has its length in front of it."""
        return self.take(self.integer()).decode("ascii")

"""Decoder of CLS's LogGroupList (proto2; SDK, UploadLog), strict about everything that the schema says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_VARINT, _BYTES = 0, 2


class DecodeError(ValueError):
    """The bytes are not a LogGroupList."""


@dataclass
class Log:
    """One line: its time in the unit that the caller chose, and its keys and values."""

    time: int | None = None
    contents: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class LogGroup:
    """Lines of one source, with the size of the group in bytes."""

    size: int
    logs: list[Log] = field(default_factory=list)
    filename: str = ""
    source: str = ""
    tags: list[tuple[str, str]] = field(default_factory=list)


def decode(data: bytes) -> list[LogGroup]:
    """Decode a LogGroupList. Raises DecodeError."""
    return [_group(_message(value)) for number, value in _fields(data) if _expect(number, {1})]


def _group(data: bytes) -> LogGroup:
    group = LogGroup(size=len(data))
    for number, value in _fields(data):
        _expect(number, {1, 2, 3, 4, 5})
        if number == 1:
            group.logs.append(_log(_message(value)))
        elif number == 3:
            group.filename = _text(value)
        elif number == 4:
            group.source = _text(value)
        elif number == 5:
            group.tags.append(_pair(_message(value)))
    return group


def _log(data: bytes) -> Log:
    log = Log()
    for number, value in _fields(data):
        _expect(number, {1, 2})
        if number == 1 and isinstance(value, int):
            log.time = value
        else:
            log.contents.append(_pair(_message(value)))
    if log.time is None:
        raise DecodeError("a Log has no time")
    return log


def _pair(data: bytes) -> tuple[str, str]:
    values = {number: _text(value) for number, value in _fields(data) if _expect(number, {1, 2})}
    if values.keys() != {1, 2}:
        raise DecodeError("a key-value pair lacks its key or its value")
    return values[1], values[2]


def _expect(number: int, known: set[int]) -> bool:
    if number not in known:
        raise DecodeError(f"unknown field {number}")
    return True


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise DecodeError("a number stands where a message belongs")
    return value


def _text(value: int | bytes) -> str:
    try:
        return _message(value).decode()
    except UnicodeDecodeError as error:
        raise DecodeError("a string is not UTF-8") from error


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        if key & 7 == _VARINT:
            value, position = _varint(data, position)
            yield key >> 3, value
        elif key & 7 == _BYTES:
            length, position = _varint(data, position)
            if position + length > len(data):
                raise DecodeError("a field is longer than its message")
            yield key >> 3, data[position : position + length]
            position += length
        else:
            raise DecodeError(f"unknown wire type {key & 7}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise DecodeError("the message ends inside a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise DecodeError("a number is longer than 10 bytes")

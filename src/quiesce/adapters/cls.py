"""The run record in a CLS topic of its own: UploadLog, with the five protobuf messages it takes encoded here.

The SDK's cls models are 2 MB of Python, and the CLS SDK replaces ``tencentcloud/__init__.py`` of the official one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from quiesce.adapters.logs import flat
from quiesce.adapters.tencent import Cloud


class RunRecords:
    """One CLS topic. Not for two threads at a time."""

    def __init__(self, cloud: Cloud, topic_id: str) -> None:
        self._cloud = cloud
        self._topic_id = topic_id

    def write(self, records: Iterable[Mapping[str, object]], at_ms: int) -> None:
        """Upload records, once: a repeated upload would be a second record. ``at_ms``: since 1970, UTC.

        Raises CloudError; the caller decides what that means, and it never changes a verdict.
        """
        api = self._cloud.api("cls", "2020-10-16")
        body = log_group_list(({key: _text(value) for key, value in flat(r).items()} for r in records), at_ms)
        api.upload("UploadLog", {"X-CLS-TopicId": self._topic_id}, body)


def _text(scalar: object) -> str:
    return scalar if isinstance(scalar, str) else json.dumps(scalar)


def log_group_list(records: Iterable[Mapping[str, str]], at_ms: int) -> bytes:
    """Encode LogGroupList: 1 LogGroup { 1 Log { 1 time, 2 Content { 1 key, 2 value } } } (SDK, cls, UploadLog)."""
    return _field(1, b"".join(_field(1, _log(record, at_ms)) for record in records))


def _log(record: Mapping[str, str], at_ms: int) -> bytes:
    contents = (_field(1, key.encode()) + _field(2, value.encode()) for key, value in record.items())
    return bytes([1 << 3]) + _varint(at_ms) + b"".join(_field(2, content) for content in contents)


def _field(number: int, content: bytes) -> bytes:
    """Encode a length-delimited field (wire type 2)."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])

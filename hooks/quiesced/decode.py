"""From JSON to the messages of the protocol and back. A message that is not fully understood is refused."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from typing import NoReturn, Union

from quiesced import strict_json
from quiesced.errors import RequestRefused
from quiesced.messages import (
    PROTOCOL,
    CheckAnswer,
    CheckRequest,
    QuiesceAnswer,
    QuiesceRequest,
    ReleaseAnswer,
    ReleaseRequest,
    StatusAnswer,
)

MAX_DISKS = 32
MAX_LIMIT_S = 3600.0
MAX_HOLDS = 1_000_000
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

Answer = Union[CheckAnswer, QuiesceAnswer, ReleaseAnswer, StatusAnswer]


def check_request(body: bytes) -> CheckRequest:
    """Read the body of /v1/check. Raises RequestRefused."""
    fields = _Fields(body)
    request = CheckRequest(
        protocol=fields.protocol(),
        run_id=fields.identifier("run_id"),
        disks=fields.disks(),
        acquire_limit_s=fields.limit("acquire_limit_s"),
        hold_limit_s=fields.limit("hold_limit_s"),
    )
    fields.close()
    return request


def quiesce_request(body: bytes) -> QuiesceRequest:
    """Read the body of /v1/quiesce. Raises RequestRefused."""
    fields = _Fields(body)
    request = QuiesceRequest(
        protocol=fields.protocol(),
        lease_id=fields.identifier("lease_id"),
        run_id=fields.identifier("run_id"),
        prior_holds=fields.count("prior_holds"),
        disks=fields.disks(),
        acquire_limit_s=fields.limit("acquire_limit_s"),
        hold_limit_s=fields.limit("hold_limit_s"),
    )
    fields.close()
    return request


def release_request(body: bytes) -> ReleaseRequest:
    """Read the body of /v1/release. Raises RequestRefused."""
    fields = _Fields(body)
    request = ReleaseRequest(protocol=fields.protocol(), lease_id=fields.identifier("lease_id"))
    fields.close()
    return request


def encode(answer: Answer) -> bytes:
    """Write an answer as one JSON object in UTF-8."""
    return json.dumps(asdict(answer), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


class _Fields:
    """The fields of one message, taken one by one."""

    def __init__(self, body: bytes) -> None:
        self._left = _parse(body)

    def protocol(self) -> int:
        value = self._take("protocol")
        if isinstance(value, bool) or value != PROTOCOL:
            _refuse("protocol", f"must be {PROTOCOL}; run releases of function and daemon that speak the same protocol")
        return PROTOCOL

    def identifier(self, name: str) -> str:
        return _identifier(name, self._take(name))

    def disks(self) -> tuple[str, ...]:
        value = self._take("disks")
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_DISKS:
            _refuse("disks", f"must be an array of 1 to {MAX_DISKS} disk ids")
        ids = tuple(_identifier(f"disks[{index}]", item) for index, item in enumerate(value))
        if len(set(ids)) != len(ids):
            _refuse("disks", "must not name a disk twice")
        return ids

    def limit(self, name: str) -> float:
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            _refuse(name, "must be a number of seconds")
        if not (0 < value <= MAX_LIMIT_S and math.isfinite(value)):
            _refuse(name, f"must be above 0 and at most {MAX_LIMIT_S:g} seconds")
        return float(value)

    def count(self, name: str) -> int:
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_HOLDS:
            _refuse(name, f"must be a whole number from 0 to {MAX_HOLDS}")
        return value

    def close(self) -> None:
        for name in self._left:
            _refuse(name[:64], "is not a field of this message")

    def _take(self, name: str) -> object:
        if name not in self._left:
            _refuse(name, "is missing")
        return self._left.pop(name)


def _identifier(name: str, value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        _refuse(name, f"must match {_ID.pattern}")
    return value


def _refuse(name: str, what: str) -> NoReturn:
    raise RequestRefused(400, "bad_message", f"{name} {what}")


def _parse(body: bytes) -> dict[str, object]:
    """Read one JSON object without duplicate names and without the NaN and Infinity that JSON does not have."""
    try:
        read = strict_json.loads(body.decode("utf-8"))
    except ValueError as error:
        raise RequestRefused(400, "bad_json", f"the body is not one JSON object in UTF-8: {error}"[:200]) from error
    if not isinstance(read, dict):
        raise RequestRefused(400, "bad_json", "the body must be one JSON object")
    return read

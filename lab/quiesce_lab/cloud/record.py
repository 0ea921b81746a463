"""The record of every call that reached the cloud, for tests and for the verifier."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Call:
    """One call. Times are seconds of CLOCK_MONOTONIC, comparable with other processes on the machine.

    No secret is kept: neither the Authorization header nor the token.
    """

    number: int
    arrived_at: float
    request_id: str
    action: str
    version: str
    region: str
    host: str
    content_type: str
    language: str
    user_agent: str
    request_client: str
    service: str = ""
    secret_id: str = ""
    with_token: bool = False
    request: dict[str, Any] = field(default_factory=dict)
    cut_began_at: float | None = None
    """Just before the (first) disk was cloned; for CreateSnapshot and CreateSnapshotGroup only."""
    cut_at: float | None = None
    """When the (last) clone had been made; each snapshot shows its disk at one instant between the two."""
    answered_at: float | None = None
    """Just before the answer was sent; None while underway, and for an answer that was never sent."""
    error_code: str | None = None
    snapshot_id: str | None = None
    member_ids: tuple[str, ...] = ()
    """Snapshots that a CreateSnapshotGroup made."""
    fault: str | None = None


class Record:
    """Calls in the order of their arrival. Reading gives copies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._next = 1

    def open(self, headers: Mapping[str, str], *, arrived_at: float, request_id: str) -> Call:
        """Begin a call from its headers (lower-case names)."""
        with self._lock:
            call = Call(
                number=self._next,
                arrived_at=arrived_at,
                request_id=request_id,
                action=headers.get("x-tc-action", ""),
                version=headers.get("x-tc-version", ""),
                region=headers.get("x-tc-region", ""),
                host=headers.get("host", ""),
                content_type=headers.get("content-type", ""),
                language=headers.get("x-tc-language", ""),
                user_agent=headers.get("user-agent", ""),
                request_client=headers.get("x-tc-requestclient", ""),
                with_token="x-tc-token" in headers,
            )
            self._calls.append(call)
            self._next += 1
        return call

    def note(self, call: Call, **values: Any) -> None:
        """Set fields of a call that is underway."""
        with self._lock:
            for name, value in values.items():
                setattr(call, name, value)

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call, oldest first."""
        with self._lock:
            return tuple(dataclasses.replace(call) for call in self._calls)

    def of(self, action: str) -> tuple[Call, ...]:
        """Every call of one action, oldest first."""
        return tuple(call for call in self.calls if call.action == action)

    def clear(self) -> None:
        """Forget every call."""
        with self._lock:
            self._calls.clear()

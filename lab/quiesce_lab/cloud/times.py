"""Clocks and the platform's ways of writing a time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Protocol

_UTC_PLUS_8 = timezone(timedelta(hours=8))


class Clock(Protocol):
    """Time as the lab's cloud sees it. The standard ``time`` module is one."""

    def time(self) -> float:
        """Seconds since 1970, UTC."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""


def naive_utc8(unix_s: float) -> str:
    """Write a time as CBS does: no offset, and UTC+8 in every region (recorded answers of ap-singapore)."""
    return datetime.fromtimestamp(unix_s, _UTC_PLUS_8).strftime("%Y-%m-%d %H:%M:%S")


def utc_z(unix_s: float) -> str:
    """Write a time as CVM does: UTC with a trailing Z (recorded answers)."""
    return datetime.fromtimestamp(unix_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_deadline(text: str) -> float:
    """Read a CBS ``Deadline``, UTC with the offset ``+00:00`` (SDK, CreateSnapshotRequest). Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S+00:00").replace(tzinfo=timezone.utc).timestamp()

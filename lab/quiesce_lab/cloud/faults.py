"""Faults that a test or an operator sets: what the platform does to its callers on a bad day."""

from __future__ import annotations

import enum
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quiesce_lab.errors import LabError


class FaultKind(str, enum.Enum):
    """What happens to the call. The comment says whether the call is carried out."""

    THROTTLED = "throttled"  # not carried out: RequestLimitExceeded
    REFUSE = "refuse"  # not carried out: ``code``
    HTTP_500 = "http_500"  # not carried out: HTTP 500 from the gateway
    HANG = "hang"  # not carried out: silence for ``seconds``, then the connection closes
    SLOW = "slow"  # carried out: ``seconds`` are added to the latency
    ERROR_AFTER_SUCCESS = "error_after_success"  # carried out: InternalError
    LOST_RESPONSE = "lost_response"  # carried out: the connection closes without an answer
    NOT_JSON = "not_json"  # carried out: HTTP 200 with an HTML page
    NULL_SNAPSHOT_ID = "null_snapshot_id"  # carried out: the id in the answer is null (of a group: the group's)
    STUCK_AT = "stuck_at"  # carried out: the snapshot (of a group: the last) stays CREATING at ``percent``
    VANISHED = "vanished"  # carried out: the snapshot (of a group: the last) is listed for a while, and then is gone


_OF_CREATING = frozenset({FaultKind.NULL_SNAPSHOT_ID, FaultKind.STUCK_AT, FaultKind.VANISHED})
_CREATING = ("CreateSnapshot", "CreateSnapshotGroup")


@dataclass(frozen=True)
class Fault:
    """One fault. Raises LabError when its parts do not fit together."""

    kind: FaultKind
    code: str = ""
    seconds: float = 0.0
    percent: int = 0

    def __post_init__(self) -> None:
        if (self.kind is FaultKind.REFUSE) != bool(self.code):
            raise LabError("the fault 'refuse' needs an error code, and no other fault takes one")
        if (self.kind in (FaultKind.HANG, FaultKind.SLOW)) != (self.seconds > 0):
            raise LabError("the faults 'hang' and 'slow' need seconds above 0, and no other fault takes them")
        if not 0 <= self.percent <= 99 or (self.percent and self.kind is not FaultKind.STUCK_AT):
            raise LabError("only the fault 'stuck_at' takes a percent, from 0 to 99")


def throttled() -> Fault:
    """RequestLimitExceeded; not carried out."""
    return Fault(FaultKind.THROTTLED)


def refuse(code: str) -> Fault:
    """Answer with an error code; not carried out."""
    return Fault(FaultKind.REFUSE, code=code)


def slow(seconds: float) -> Fault:
    """Add to the latency; the cut of CreateSnapshot falls within the longer latency."""
    return Fault(FaultKind.SLOW, seconds=seconds)


def hang(seconds: float) -> Fault:
    """Say nothing, then close the connection; not carried out."""
    return Fault(FaultKind.HANG, seconds=seconds)


def error_after_success() -> Fault:
    """Carry the call out, and answer InternalError."""
    return Fault(FaultKind.ERROR_AFTER_SUCCESS)


def lost_response() -> Fault:
    """Carry the call out, and close the connection without an answer."""
    return Fault(FaultKind.LOST_RESPONSE)


def null_snapshot_id() -> Fault:
    """Make the snapshot, and answer with a null id."""
    return Fault(FaultKind.NULL_SNAPSHOT_ID)


def not_json() -> Fault:
    """Carry the call out, and answer with an HTML page."""
    return Fault(FaultKind.NOT_JSON)


def http_500() -> Fault:
    """Answer HTTP 500; not carried out."""
    return Fault(FaultKind.HTTP_500)


def stuck_at(percent: int) -> Fault:
    """Make a snapshot that stays CREATING at this percentage."""
    return Fault(FaultKind.STUCK_AT, percent=percent)


def vanished() -> Fault:
    """Make a snapshot that is gone after half the time that a snapshot takes."""
    return Fault(FaultKind.VANISHED)


@dataclass
class Planned:
    """A fault waiting for its calls; ``times`` is None when it stays until cleared."""

    action: str
    fault: Fault
    times: int | None
    match: dict[str, Any] = field(default_factory=dict)


class Faults:
    """The faults that are set, first come first served."""

    def __init__(self, actions: frozenset[str]) -> None:
        self._actions = actions
        self._lock = threading.Lock()
        self._planned: list[Planned] = []

    def set(self, action: str, fault: Fault, times: int | None = 1, match: Mapping[str, Any] | None = None) -> None:
        """Let the next ``times`` calls of an action meet a fault; None means every call until ``clear``.

        ``match`` holds request fields and the values they must have (in a list field: contain). Raises LabError for an
        action that does not exist or cannot meet this fault.
        """
        if action not in self._actions:
            raise LabError(f"no such action: {action}; there are {', '.join(sorted(self._actions))}")
        if fault.kind in _OF_CREATING and action not in _CREATING:
            raise LabError(f"only {' and '.join(_CREATING)} can meet the fault '{fault.kind.value}'")
        if times is not None and times < 1:
            raise LabError("a fault is set for at least one call")
        with self._lock:
            self._planned.append(Planned(action, fault, times, dict(match or {})))

    def take(self, action: str, body: Mapping[str, Any]) -> Fault | None:
        """Use up one call of the first fault that fits."""
        with self._lock:
            for planned in self._planned:
                if planned.action == action and _fits(planned.match, body):
                    self._use_up(planned)
                    return planned.fault
        return None

    @property
    def planned(self) -> tuple[Planned, ...]:
        """Faults that are still waiting for calls."""
        with self._lock:
            return tuple(self._planned)

    def clear(self) -> None:
        """Forget every fault."""
        with self._lock:
            self._planned.clear()

    def _use_up(self, planned: Planned) -> None:
        if planned.times is not None:
            planned.times -= 1
            if planned.times == 0:
                self._planned.remove(planned)


def _fits(match: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    return all(
        wanted in body[name] if isinstance(body.get(name), list) else body.get(name) == wanted
        for name, wanted in match.items()
    )

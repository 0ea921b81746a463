"""Which level a case may end at: why `application` cannot have been earned under a fault, in words; empty where it can."""

from __future__ import annotations

from tests.faults.steps import Moment, Side
from tests.faults.table import Case, Kind

NO_ANSWER = "nobody confirms that the hold lasted until the release"
NO_HOLD = "there is no hold"
NO_ID = "the call was not answered with an id inside the hold"
UNKNOWN_END = "whoever would have judged the run is gone, and left no seal"

_BEFORE_THE_RELEASE = ("preflush", "arm", "lock", "freeze", "witness")
_UNTIL_RELEASED = ("plan", "check", "find", "connect", "prepare", "admit", "quiesce", "create", "release")


def why_not_application(case: Case) -> str:
    """Say why a set that was made under this fault is not application-consistent for all that can be known."""
    return _OF_SIDE[case.step.side](case)


def _daemon(case: Case) -> str:
    step, kind, moment = case.step, case.kind, case.moment
    releasing = step.name not in _BEFORE_THE_RELEASE or step.nth > 1
    if kind in (Kind.KILL, Kind.HANG, Kind.CUT):
        return NO_ANSWER
    if kind is Kind.MEMORY and (step.name in _BEFORE_THE_RELEASE):
        return NO_ANSWER if releasing else NO_HOLD
    if kind is Kind.RESTART and not releasing:
        return NO_HOLD
    if kind in (Kind.CLOCK_FORWARD, Kind.CLOCK_BACK) and not releasing:
        return NO_ANSWER
    if kind is Kind.TOO_SLOW and step.name in ("lock", "freeze", "witness") and not releasing:
        return NO_HOLD
    unprepared = step.name == "preflush" or (step.name == "arm" and moment is Moment.BEFORE)
    return NO_HOLD if kind in (Kind.DISK_FULL, Kind.NO_FILES) and unprepared else ""


def _function(case: Case) -> str:
    step, kind, moment = case.step.name, case.kind, case.moment
    if step not in _UNTIL_RELEASED:
        return ""
    last = step == "release" and moment is Moment.AFTER
    if kind in (Kind.KILL, Kind.HANG, Kind.MEMORY_LIMIT, Kind.MEMORY):
        return UNKNOWN_END
    if kind in (Kind.CLOCK_FORWARD, Kind.CLOCK_BACK) and not last:
        return NO_ANSWER
    if kind is Kind.RESET and step in ("prepare", "quiesce", "create"):
        return NO_ID if step == "create" else NO_HOLD
    if kind is Kind.RESTART and step in ("create", "release"):
        return NO_ANSWER
    return NO_ANSWER if kind is Kind.CUT else ""


def _cloud(case: Case) -> str:
    lost = (Kind.HANG, Kind.TOO_SLOW, Kind.LOST_RESPONSE, Kind.ERROR_AFTER_SUCCESS, Kind.NOT_JSON, Kind.NULL_SNAPSHOT_ID)
    creating = case.step.name in ("CreateSnapshot", "CreateSnapshotGroup")
    return NO_ID if creating and case.kind in lost else ""


def _wire(case: Case) -> str:
    if case.kind is Kind.CUT:
        return NO_ANSWER
    return NO_HOLD if case.step.name in ("/v1/prepare", "/v1/quiesce") and case.kind is not Kind.SLOW else ""


_OF_SIDE = {Side.DAEMON: _daemon, Side.FUNCTION: _function, Side.CLOUD: _cloud, Side.WIRE: _wire}

"""When a hold has to end on the daemon's own account: slightly before its limit, which is the guardian's moment.

A preparation, under which nothing is held, ends after a time of its own.
"""

from __future__ import annotations

from quiesced.instance_hold import InstanceHold

SLACK_S = 0.050
"""How long before its limit a hold is let go in order, so that the guardian finds nothing left to do."""
PREPARED_LIMIT_S = 30.0
"""How long a preparation stands. Meanwhile no other lease gets the place, and settings of the applications are changed."""
SLACK_SHARE = 0.1
"""The same as a share of a short hold."""


def due_s(hold: InstanceHold) -> float:
    """Return when the daemon lets go of a hold that nobody has released, on the clock."""
    return hold.ends_s - min(SLACK_S, SLACK_SHARE * hold.hold_limit_s)


def past_limit(hold: InstanceHold, now_s: float) -> str:
    """Say that the limit has passed; empty while it has not."""
    return f"the hold limit of {hold.hold_limit_s} s passed" if now_s >= hold.ends_s else ""


def reason_to_end(hold: InstanceHold, now_s: float) -> str:
    """Say why a hold that nobody released has to end; empty while it may go on."""
    if hold.lost():
        return hold.lost()
    if now_s >= due_s(hold):
        return f"the hold limit of {hold.hold_limit_s} s passed before a release was asked for"
    return ""

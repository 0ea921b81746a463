"""When a hold has to end on the daemon's own account: slightly before its limit, which is the guardian's moment."""

from __future__ import annotations

from quiesced.instance_hold import InstanceHold

SLACK_S = 0.050
"""How long before its limit a hold is let go in order, so that the guardian finds nothing left to do."""
SLACK_SHARE = 0.1
"""The same as a share of a short hold."""


def due_s(hold: InstanceHold) -> float:
    """Return when the daemon lets go of a hold that nobody has released, on the clock."""
    return hold.ends_s - min(SLACK_S, SLACK_SHARE * hold.hold_limit_s)


def past_limit(hold: InstanceHold, now_s: float) -> str:
    """Say that the limit has passed; empty while it has not."""
    return f"the hold limit of {hold.hold_limit_s} s passed" if now_s >= hold.ends_s else ""

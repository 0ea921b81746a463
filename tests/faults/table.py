"""Which faults can happen at which step, before, during and after it. One row a step, written down on purpose.

A step of the product without a row fails tests/faults/test_table.py, and so does a row without a step.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from tests.faults.steps import Moment, Side, Step


class Kind(str, enum.Enum):
    """What happens."""

    KILL = "kill"  # SIGKILL
    HANG = "hang"  # SIGSTOP until the end of the case
    SLOW = "slow"  # longer than usual, within every limit
    TOO_SLOW = "too_slow"  # longer than the acquire limit
    MEMORY = "memory"  # MemoryError
    MEMORY_LIMIT = "memory_limit"  # more than SCF allows: killed
    DISK_FULL = "disk_full"  # ENOSPC for all that is written from here on
    NO_FILES = "no_files"  # RLIMIT_NOFILE reached
    CLOCK_FORWARD = "clock_forward"  # the process's clock jumps by +1 h
    CLOCK_BACK = "clock_back"  # by -1 h
    SECOND_DELIVERY = "second_delivery"  # the same event arrives at this moment
    RESTART = "restart"  # the daemon is stopped and started
    CUT = "cut"  # the network between function and instance falls silent
    RESET = "reset"  # the connection is reset
    HTTP_500 = "http_500"
    THROTTLED = "throttled"
    NOT_JSON = "not_json"
    REFUSED = "refuse"
    LOST_RESPONSE = "lost_response"
    ERROR_AFTER_SUCCESS = "error_after_success"
    NULL_SNAPSHOT_ID = "null_snapshot_id"
    STUCK_AT = "stuck_at"
    VANISHED = "vanished"


Row = Mapping[Moment, tuple[Kind, ...]]
K, BEFORE, DURING, AFTER = Kind, Moment.BEFORE, Moment.DURING, Moment.AFTER

HOLDING: Row = {
    BEFORE: (K.KILL, K.HANG, K.MEMORY, K.DISK_FULL, K.NO_FILES, K.CLOCK_FORWARD, K.RESTART, K.SECOND_DELIVERY),
    DURING: (K.KILL, K.HANG, K.MEMORY, K.SLOW, K.TOO_SLOW, K.CUT),
    AFTER: (K.KILL, K.HANG, K.MEMORY, K.DISK_FULL, K.NO_FILES, K.CLOCK_BACK, K.RESTART),
}
"""A process of its own on the instance, with files, memory, a clock and a state directory."""
ASKING: Row = {
    BEFORE: (K.KILL, K.MEMORY, K.NO_FILES, K.CLOCK_FORWARD, K.RESET, K.RESTART, K.CUT),
    DURING: (K.KILL, K.HANG, K.SLOW, K.MEMORY_LIMIT, K.SECOND_DELIVERY),
    AFTER: (K.KILL, K.MEMORY, K.CLOCK_BACK, K.RESET),
}
"""A request of the function to somebody."""
OUTSIDE_THE_HOLD: Row = {
    BEFORE: (K.KILL, K.MEMORY, K.NO_FILES, K.CLOCK_FORWARD, K.DISK_FULL),
    DURING: (K.KILL, K.HANG, K.MEMORY_LIMIT, K.SECOND_DELIVERY),
    AFTER: (K.KILL, K.MEMORY, K.CLOCK_BACK, K.DISK_FULL),
}
"""A step of the run around the procedure; its log is all that the function writes."""
READING: Row = {
    BEFORE: (K.THROTTLED, K.REFUSED, K.HTTP_500),
    DURING: (K.HANG, K.SLOW),
    AFTER: (K.LOST_RESPONSE, K.ERROR_AFTER_SUCCESS, K.NOT_JSON),
}
"""A call of the cloud that makes nothing; each fault is met by every such call, retries included."""
CREATING: Row = {
    BEFORE: READING[BEFORE],
    DURING: (*READING[DURING], K.TOO_SLOW),
    AFTER: (*READING[AFTER], K.NULL_SNAPSHOT_ID, K.STUCK_AT, K.VANISHED),
}
ROUTE: Row = {
    BEFORE: (K.HTTP_500, K.THROTTLED, K.RESET, K.CUT),
    DURING: (K.RESET, K.CUT, K.SLOW),
    AFTER: (K.HTTP_500, K.NOT_JSON, K.RESET, K.CUT),
}
"""What lies between function and daemon: a network, and now and then a proxy that answers with a page."""

ROWS: Mapping[Side, Mapping[str, Row]] = {
    Side.DAEMON: {name: HOLDING for name in ("preflush", "arm", "lock", "freeze", "witness", "thaw", "unlock")},
    Side.FUNCTION: {
        "plan": OUTSIDE_THE_HOLD,
        "check": ASKING,
        "find": ASKING,
        "connect": ASKING,
        "prepare": ASKING,
        "admit": {BEFORE: OUTSIDE_THE_HOLD[BEFORE], AFTER: OUTSIDE_THE_HOLD[AFTER]},  # asks nobody, so it has no middle
        "quiesce": ASKING,
        "create": ASKING,
        "release": ASKING,
        "label": ASKING,
        "record": OUTSIDE_THE_HOLD,
    },
    Side.CLOUD: {
        "DescribeInstances": READING,
        "DescribeDisks": READING,
        "DescribeSnapshots": READING,
        "DescribeSnapshotOverview": READING,
        "CreateSnapshot": CREATING,
        "CreateSnapshotGroup": CREATING,
        "DescribeSnapshotGroups": READING,
        "ModifyResourceTags": READING,
        "ModifySnapshotAttribute": READING,
    },
    Side.WIRE: {"/v1/check": ROUTE, "/v1/prepare": ROUTE, "/v1/quiesce": ROUTE, "/v1/release": ROUTE, "/v1/status": ROUTE},
}


@dataclass(frozen=True)
class Case:
    """One fault at one moment of one step."""

    step: Step
    moment: Moment
    kind: Kind

    def __str__(self) -> str:
        return f"{self.step} {self.moment.value} {self.kind.value}"


def cases(steps: tuple[Step, ...]) -> tuple[Case, ...]:
    """Every case of these steps. Raises KeyError for a step that has no row."""
    return tuple(
        Case(step, moment, kind) for step in steps for moment, kinds in ROWS[step.side][step.name].items() for kind in kinds
    )

"""What is looked at from outside, before and after a case: database, cloud, kernel. Nothing asks the programs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quiesce_lab.host import Host, calls_of
from quiesce_lab.stage import Stage
from quiesce_lab.verifier import Window

RCU_EXPEDITED = Path("/sys/kernel/rcu_expedited")


@dataclass(frozen=True)
class State:
    """What a hold may change, and must put back."""

    variables: tuple[tuple[str, str], ...]
    sessions: int
    replication: tuple[tuple[Any, ...], ...]
    rcu_expedited: str


_VARIABLES = ("innodb_flush_log_at_trx_commit", "sync_binlog", "read_only", "lock_wait_timeout", "wait_timeout")


def state_of(host: Host) -> State:
    """Look at the server and at the kernel's setting."""
    with host.database.connect() as session, session.cursor() as cursor:
        cursor.execute(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN {_VARIABLES}")
        variables = tuple((str(name), str(value)) for name, value in cursor.fetchall())
        cursor.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user = 'root'")
        row = cursor.fetchone()
        cursor.execute("SHOW ALL SLAVES STATUS")
        replication = tuple(cursor.fetchall())
    expedited = RCU_EXPEDITED.read_text().strip() if RCU_EXPEDITED.exists() else ""
    return State(variables, int(row[0]) if row else -1, replication, expedited)


def state_within(host: Host, wanted: State, timeout_s: float) -> State:
    """Wait until the state is as wanted; returns the last that was seen. A session's end takes the server a moment."""
    give_up_at = time.monotonic() + timeout_s
    while (seen := state_of(host)) != wanted and time.monotonic() < give_up_at:
        time.sleep(0.05)
    return seen


def snapshots_of(stage: Stage) -> Mapping[str, str]:
    """Every snapshot that the cloud has, listed or not: id to name."""
    estate = stage.site.cloud.world.estate()
    return {snapshot.snapshot_id: snapshot.name for snapshot in list(estate.snapshots.values())}


def committed_during_the_calls(stage: Stage, snapshot_ids: set[str]) -> int:
    """Count writes that were sent and acknowledged while the set was being made: 0 when somebody held them still."""
    calls = calls_of(stage.site, snapshot_ids)
    if not calls:
        return 0
    window = Window.around(calls)
    writes = stage.host.load.writes
    return sum(w.sent_at > window.began and w.acked_at is not None and w.acked_at < window.ended for w in writes)

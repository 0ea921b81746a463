"""The follow-up, a timer with the message ``@follow-up``: what is left to do and to say when runs are over.

Gives snapshots that are tagged and still called pending their own names, copies them to other regions and shares them with
other accounts where a policy says so, prunes what the policies' retention lets go, and writes a line that an alarm can
match for every disk that no policy covers or whose objective is missed, for every snapshot that does not get complete, and
for every set that has lost a member. Those who want to know of late disks are sent one message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone

from quiesce import coverage, pruning
from quiesce.adapters.deliver import deliver
from quiesce.adapters.estate import Made, made_here, rename
from quiesce.copies import copy_all
from quiesce.coverage import Finding
from quiesce.errors import CloudError
from quiesce.estate import look
from quiesce.model import Level
from quiesce.notifying import of_follow_up
from quiesce.policies import Policy
from quiesce.retention import Point
from quiesce.sharing import share_all
from quiesce.wiring import Wiring

LISTED_AFTER = timedelta(minutes=10)
"""How long after its cut a snapshot that is not listed may still be about to be."""
STUCK_AFTER = timedelta(hours=6)
"""How long a snapshot may take until it is complete. There is no state that says that one failed (SDK, SnapshotState)."""


def follow_up(policies: Mapping[str, Policy], wiring: Wiring) -> dict[str, int]:
    """Do all of it once; returns counts. Raises CloudError when the estate cannot be listed; nothing was changed then."""
    now = datetime.now(timezone.utc)
    made: Sequence[Made] = made_here(wiring.shared.cbs)
    rows = look(wiring.cloud, policies, made, now)
    _watch(made, now, wiring)
    counts = {"renamed": _rename(made, wiring)}
    made = share_all(policies, copy_all(policies, made, now, wiring), now, wiring)
    counts |= {
        **{word: sum(applies(one.point, now) for one in made) for word, applies in _STATES.items()},
        "deleted": _prune(policies, made, now, wiring),
        **{finding.value: sum(row.finding is finding for row in rows) for finding in Finding},
    }
    for row in rows:
        if row.finding is not Finding.COVERED:
            wiring.log.step({"step": "coverage", "outcome": row.finding.value, **coverage.fields_of(row)})
    wiring.log.step({"step": "follow_up", "outcome": "done", **counts})
    notify = wiring.settings.notify
    deliver(of_follow_up(counts, rows, notify.on), notify, wiring.log, {"trigger": "follow_up"})
    return counts


def _rename(made: Iterable[Made], wiring: Wiring) -> int:
    """Rename what was tagged, and then its run ended: the tags are what vouches for it, and they come first."""
    renamed = 0
    for one in made:
        if not one.point.pending or one.point.level <= Level.UNKNOWN:
            continue
        try:
            rename(wiring.shared.cbs, one.point.snapshot_id, one.name)
        except CloudError as error:
            trouble = {"snapshot_id": one.point.snapshot_id, "reason": str(error)}
            wiring.log.step({"step": "rename", "outcome": "trouble", **trouble})
        else:
            renamed += 1
    return renamed


def _creating(point: Point, now: datetime) -> bool:
    return not point.complete and not _stuck(point, now)


def _stuck(point: Point, now: datetime) -> bool:
    return not point.complete and now - point.created_at > STUCK_AFTER


def _lost(point: Point, now: datetime) -> bool:
    return point.missing > 0 and now - point.created_at > LISTED_AFTER


_STATES = {"creating": _creating, "stuck": _stuck, "vanished": _lost}


def _watch(made: Iterable[Made], now: datetime, wiring: Wiring) -> None:
    """Write a line for each that is not complete, and for each whose set has lost a member: it restores nothing then."""
    for one in made:
        point = one.point
        for word in (word for word, applies in _STATES.items() if applies(point, now)):
            age_hours = round((now - point.created_at).total_seconds() / 3600, 1)
            ids = {"snapshot_id": point.snapshot_id, "disk_id": point.disk_id, "run_id": point.run_id}
            facts = {"percent": one.percent, "missing": point.missing, "age_hours": age_hours}
            wiring.log.step({"step": "snapshot", "outcome": word, **ids, **facts})


def _prune(policies: Mapping[str, Policy], made: Sequence[Made], now: datetime, wiring: Wiring) -> int:
    deleted = 0
    for name, policy in policies.items():
        if policy.retention is None:
            continue
        for one in pruning.carry_out(pruning.plan(name, policy, made, now), wiring.cloud):
            if not one.keep:
                outcome = "not_deleted" if one.failure else "deleted"
                ids = {"policy": name, "snapshot_id": one.point.snapshot_id, "disk_id": one.point.disk_id}
                wiring.log.step({"step": "prune", "outcome": outcome, **ids, "reason": one.failure})
                deleted += not one.failure
    return deleted

"""What the instances of a run got, found where it lies: in the names and sealed tags of their snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

from quiesce.adapters.cvm import find_instances
from quiesce.adapters.disks import find_disks
from quiesce.certificate import recorded_level
from quiesce.model import Level, Snapshot, TargetPlan
from quiesce.naming import PENDING
from quiesce.plan import make_plans
from quiesce.policies import Policy
from quiesce.report import Report, Status, TargetReport
from quiesce.request import Question, Request, Trigger
from quiesce.wiring import Wiring

NOTHING_YET = "there is no snapshot of this run; it was not taken, or its run is at work"


def collect(question: Question, policy: Policy, wiring: Wiring) -> Report:
    """Look up what a run made of each instance that its policy has now. Raises CloudError."""
    request = Request(question.policy, question.run_id, Trigger.HTTP, "")
    instances = find_instances(wiring.cloud, policy.targets)
    disks = find_disks(wiring.cloud, [instance.instance_id for instance in instances])
    plans, refusals = make_plans(request, policy, instances, disks, datetime.now(timezone.utc))
    found = wiring.snapshots().find([intent for plan in plans for intent in plan.intents]) if plans else {}
    refused = [TargetReport(one.subject, Status.FAILED, None, refusal=str(one)) for one in refusals]
    return Report(question.run_id, question.policy, (*refused, *(_target(plan, found, wiring) for plan in plans)))


def _target(plan: TargetPlan, found: Mapping[str, Snapshot], wiring: Wiring) -> TargetReport:
    own = {disk_id: found[disk_id] for disk_id in plan.disks if disk_id in found}
    snapshots = {disk_id: snapshot.snapshot_id for disk_id, snapshot in own.items()}
    level = recorded_level(plan, own, wiring.settings.certificate_key)
    if not own:
        return TargetReport(plan.instance_id, Status.FAILED, None, refusal=NOTHING_YET)
    if level is None:
        at_work = any(snapshot.name.endswith(PENDING) for snapshot in own.values())
        status = Status.IN_PROGRESS if at_work else Status.WEAKER
        why = "not labelled yet" if at_work else "its label cannot be verified with this key"
        return TargetReport(plan.instance_id, status, None, refusal=why, level=Level.UNKNOWN, snapshots=snapshots)
    status = Status.REACHED if level >= plan.level else Status.WEAKER if level > Level.NONE else Status.FAILED
    return TargetReport(plan.instance_id, status, None, level=level, snapshots=snapshots)

"""One run: find and plan the targets; then protect them here, or hand them to workers when there are many."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

from quiesce import fleet
from quiesce.adapters import scf
from quiesce.adapters.cvm import find_instances
from quiesce.adapters.disks import find_disks
from quiesce.adapters.logs import JsonLog
from quiesce.budget import needed_s, unsafe
from quiesce.course import Outcome
from quiesce.errors import CloudError, PolicyError
from quiesce.fleet import Batch
from quiesce.model import TargetPlan
from quiesce.parallel import at_once
from quiesce.plan import Refusal, make_plans
from quiesce.policies import Policy
from quiesce.procedure import protect_together
from quiesce.recording import Recorder
from quiesce.report import Report, Status, TargetReport
from quiesce.request import Request
from quiesce.settings import Settings
from quiesce.wiring import Wiring

TARGETS_AT_ONCE = 8


class Run:
    """One delivery of a run, with everything it needs made for this invocation alone."""

    def __init__(
        self, request: Request, policy: Policy, settings: Settings, log: JsonLog, function: scf.FunctionName
    ) -> None:
        self._request = request
        self._policy = policy
        self._settings = settings
        self._function = function
        self._wiring = Wiring(settings, log)
        ids = {"run_id": request.run_id, "policy": request.policy, "trigger": request.trigger.value}
        self._recorder = Recorder(self._wiring, ids)

    def execute(self, *, ends_s: float) -> Report:
        """Protect every target of the policy; ``ends_s``: when SCF ends this process, on the monotonic clock.

        Raises PolicyError when the arithmetic is unsafe and CloudError when targets cannot be listed; nothing was
        touched then.
        """
        problems = unsafe(self._policy, self._settings, ends_s - time.monotonic())
        if problems:
            raise PolicyError(problems)
        plans, refusals = self._plan()
        self._recorder.note("run", "planned", targets=len(plans))
        if self._is_for_workers(len(plans)):
            reports = self._dispatch(plans, ends_s - time.monotonic())
        elif self._policy.consistency_group:
            reports = self._together(plans, refusals)
        else:
            reports = self._each(plans)
        report = Report(self._request.run_id, self._request.policy, (*map(_refused, refusals), *reports))
        self._recorder.note("run", report.status.value, targets=len(report.targets))
        self._recorder.upload(report)
        self._recorder.publish(report)
        self._recorder.notify(report, ends_s=ends_s)
        return report

    def _plan(self) -> tuple[tuple[TargetPlan, ...], tuple[Refusal, ...]]:
        instances = find_instances(self._wiring.cloud, self._policy.targets)
        if self._is_for_workers(len(instances)):
            threading.Thread(target=scf.load, name="loading", daemon=True).start()
        disks = find_disks(self._wiring.cloud, [instance.instance_id for instance in instances])
        return make_plans(self._request, self._policy, instances, disks, datetime.now(timezone.utc))

    def _is_for_workers(self, targets: int) -> bool:
        return targets > self._settings.fleet_above and not self._policy.consistency_group

    def _each(self, plans: Sequence[TargetPlan]) -> Iterable[TargetReport]:
        with ThreadPoolExecutor(max_workers=TARGETS_AT_ONCE) as pool:
            return [report for reports in pool.map(lambda plan: self._protect([plan]), plans) for report in reports]

    def _together(self, plans: Sequence[TargetPlan], refusals: Sequence[Refusal]) -> Iterable[TargetReport]:
        """Protect all or none: a group that misses a member is not what was asked for."""
        if refusals or not plans:
            why = f"the group is not whole: {'; '.join(map(str, refusals)) or 'it has no members'}"
            return [TargetReport(plan.instance_id, Status.FAILED, None, refusal=why) for plan in plans]
        return self._protect(plans)

    def _protect(self, plans: Sequence[TargetPlan]) -> Sequence[TargetReport]:
        for plan in plans:
            self._recorder.note("target", "started", instance_id=plan.instance_id)
        with self._wiring.targets(plans) as targets:
            outcomes = protect_together(targets)
        return [self._record(outcome) for outcome in outcomes]

    def _record(self, outcome: Outcome) -> TargetReport:
        return self._recorder.record(outcome)

    def _dispatch(self, plans: Sequence[TargetPlan], time_left_s: float) -> Iterable[TargetReport]:
        """Send each batch to a worker of its own; what they got is found by name and tag later (collect)."""
        # Every worker has the whole of the function's timeout, of which this one has used next to nothing.
        time_s = time_left_s - needed_s(self._policy, self._settings)
        trigger = self._request.trigger.value
        seen = self._wiring.shared.quota.suffices(sum(len(plan.disks) for plan in plans))
        key = self._settings.certificate_key
        batches = fleet.split(plans, trigger, time_s=time_s, key=key, quota_seen=seen)
        invoker = scf.Invoker(self._settings.cloud, self._function)

        def send(batch: Batch) -> Sequence[TargetReport]:
            try:
                invoker.invoke(fleet.as_event(batch))
            except CloudError as error:
                self._recorder.note("batch", "not_sent", batch=batch.number, reason=str(error))
                return _all_of(batch, Status.FAILED, f"no worker could be started: {error}")
            self._recorder.note("batch", "sent", batch=batch.number, of=batch.of, targets=len(batch.targets))
            return _all_of(batch, Status.DISPATCHED, "")

        return [report for reports in at_once(send, batches) for report in reports]


def _all_of(batch: Batch, status: Status, refusal: str) -> Sequence[TargetReport]:
    return [TargetReport(target.instance_id, status, None, refusal=refusal) for target in batch.targets]


def _refused(refusal: Refusal) -> TargetReport:
    return TargetReport(refusal.subject, Status.FAILED, None, refusal=str(refusal))

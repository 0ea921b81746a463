"""One run: find and plan the targets, protect each, and record what they got. The wiring of the function is here."""

from __future__ import annotations

import functools
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

from quiesce.adapters.cbs import CbsSnapshots, find_disks
from quiesce.adapters.cls import RunRecords
from quiesce.adapters.cvm import find_instances
from quiesce.adapters.discard import discard
from quiesce.adapters.hook_client import HookClient
from quiesce.adapters.logs import JsonLog
from quiesce.adapters.rate_limit import RateLimit
from quiesce.adapters.tencent import Cloud
from quiesce.budget import DISCARD_S, unsafe
from quiesce.certificate import BY_GROUP, Certificate, issue, recorded_level
from quiesce.errors import CloudError, PolicyError
from quiesce.model import Level, OnPartial, TargetPlan
from quiesce.plan import Refusal, expiry_in, make_plans
from quiesce.policies import Policy
from quiesce.ports import World
from quiesce.procedure import Outcome, protect
from quiesce.report import Report, Status, TargetReport, body_of, leftovers_of, names_of, status_of, tags_of
from quiesce.request import Request
from quiesce.settings import Settings
from quiesce.steps import steps_of
from quiesce.story import Story

TARGETS_AT_ONCE = 8


class Run:
    """One delivery of a run, with everything it needs made for this invocation alone."""

    def __init__(self, request: Request, policy: Policy, settings: Settings, log: JsonLog) -> None:
        self._request = request
        self._policy = policy
        self._settings = settings
        self._log = log
        self._cloud = Cloud(settings.cloud)
        self._rate_limit = RateLimit(time)

    def execute(self, *, ends_s: float) -> Report:
        """Protect every target of the policy; ``ends_s``: when SCF ends this process, on the monotonic clock.

        Raises PolicyError when the arithmetic is unsafe and CloudError when targets cannot be listed; nothing was
        touched then.
        """
        problems = unsafe(self._policy, self._settings, ends_s - time.monotonic())
        if problems:
            raise PolicyError(problems)
        plans, refusals = self._plan()
        self._log.step({"step": "run", "outcome": "planned", **self._ids(), "targets": len(plans)})
        with ThreadPoolExecutor(max_workers=TARGETS_AT_ONCE) as pool:
            reports = tuple(pool.map(self._target, plans))
        report = Report(self._request.run_id, self._request.policy, (*map(_refused, refusals), *reports))
        self._log.step({"step": "run", "outcome": report.status.value, **self._ids(), "targets": len(report.targets)})
        self._upload(report)
        return report

    def _plan(self) -> tuple[tuple[TargetPlan, ...], tuple[Refusal, ...]]:
        instances = find_instances(self._cloud, self._policy.targets)
        disks = find_disks(self._cloud, [instance.instance_id for instance in instances])
        return make_plans(self._request, self._policy, instances, disks, datetime.now(timezone.utc))

    def _target(self, plan: TargetPlan) -> TargetReport:
        self._log.step({"step": "target", "outcome": "started", **self._ids(), "instance_id": plan.instance_id})
        agent = HookClient(plan.address, self._settings.hook, plan.limits)
        snapshots = CbsSnapshots(self._cloud, self._rate_limit)
        try:
            outcome = protect(plan, self._world(agent, snapshots))
        finally:
            agent.close()
            snapshots.close()
        return self._record(outcome, snapshots)

    def _world(self, agent: HookClient, snapshots: CbsSnapshots) -> World:
        return World(
            agent=agent,
            snapshots=snapshots,
            clock=time,
            new_lease_id=lambda: uuid.uuid4().hex,
            recorded_level=functools.partial(recorded_level, key=self._settings.certificate_key),
            api_timeout_s=self._settings.cloud.timeout_s,
        )

    def _record(self, outcome: Outcome, snapshots: CbsSnapshots) -> TargetReport:
        """Write down what was judged: certificate, tags, log lines. Nothing here changes the verdict."""
        plan = outcome.plan
        story = Story(tuple(entry.fact for entry in outcome.entries))
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        certificate = issue(plan, outcome.verdict, story, self._settings.certificate_key, now)
        report = TargetReport(
            instance_id=plan.instance_id,
            status=status_of(outcome),
            certificate=certificate,
            label_trouble=self._label(outcome, certificate, snapshots),
            partial=self._discard(outcome),
        )
        for step in steps_of(plan, outcome.entries):
            self._log.step(step)
        self._log.step({"step": "target", "outcome": report.status.value, **self._ids(), **_summary(report)})
        return report

    def _label(self, outcome: Outcome, certificate: Certificate, snapshots: CbsSnapshots) -> str:
        """Mark what there is, a set that is none, too: whoever finds its parts shall know what they are."""
        names = names_of(outcome)
        if not names:
            return ""
        tags = tags_of(outcome, certificate, self._settings.certificate_key)
        try:
            snapshots.label(names, tags, expires_at=_late_expiry(outcome.plan, certificate))
        except CloudError as error:
            return str(error)
        return ""

    def _discard(self, outcome: Outcome) -> Mapping[str, str]:
        """Do with a part of a set what the policy says; it was named and marked as none before."""
        leftovers = leftovers_of(outcome)
        if not leftovers or outcome.plan.on_partial is OnPartial.KEEP:
            return dict.fromkeys(leftovers, "kept")
        expires_at = expiry_in(1, datetime.now(timezone.utc))
        members = tuple(outcome.verdict.snapshots.values())
        return discard(self._cloud, time, leftovers, members, expires_at=expires_at, limit_s=DISCARD_S)

    def _upload(self, report: Report) -> None:
        """Put the run record into its CLS topic; a failure is logged and changes nothing else."""
        if self._settings.cls_topic is None:
            return
        records = [{**self._ids(), **_summary(target), "record": body_of(report)} for target in report.targets]
        try:
            RunRecords(self._cloud, self._settings.cls_topic).write(records, time.time_ns() // 1_000_000)
        except CloudError as error:
            self._log.step({"step": "run_record", "outcome": "trouble", **self._ids(), "reason": str(error)})

    def _ids(self) -> Mapping[str, object]:
        return {"run_id": self._request.run_id, "policy": self._request.policy, "trigger": self._request.trigger.value}


def _refused(refusal: Refusal) -> TargetReport:
    return TargetReport(refusal.subject, Status.FAILED, None, refusal=str(refusal))


def _late_expiry(plan: TargetPlan, certificate: Certificate) -> str | None:
    """When members of a group expire, which cannot be said when they are made."""
    return plan.intents[0].expires_at if certificate.created_by == BY_GROUP else None


def _summary(target: TargetReport) -> dict[str, object]:
    """Flat fields of one target, for a log line and for the run record."""
    certificate = target.certificate
    if certificate is None:
        return {"instance_id": target.instance_id, "level": Level.NONE.word, "reason": target.refusal}
    return {
        "instance_id": target.instance_id,
        "level": certificate.level,
        "level_asked": certificate.level_asked,
        "snapshot_ids": " ".join(certificate.snapshots.values()),
        "held_ms": None if certificate.held_s is None else round(certificate.held_s * 1000, 3),
        "stalled_writers": max((stall.peak_writers for stall in certificate.stalls), default=0),
        "writer_s": round(sum(stall.writer_s for stall in certificate.stalls), 3),
        "release_confirmed": certificate.release_confirmed,
        "reason": "; ".join(certificate.reasons),
        "label_trouble": target.label_trouble,
        "partial": "; ".join(f"{name}: {fate}" for name, fate in target.partial.items()),
    }

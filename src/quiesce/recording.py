"""Writing down what was judged: certificate, tags, log lines, run record. Nothing here changes a verdict."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone

from quiesce.adapters.cls import RunRecords
from quiesce.adapters.deliver import deliver
from quiesce.adapters.discard import discard
from quiesce.adapters.event_bus import publish
from quiesce.budget import DISCARD_S
from quiesce.certificate import BY_GROUP, Certificate, issue
from quiesce.course import Outcome
from quiesce.errors import CloudError
from quiesce.model import Level, OnPartial, TargetPlan
from quiesce.notifying import of_run
from quiesce.plan import expiry_in
from quiesce.report import Report, TargetReport, body_of, leftovers_of, names_of, status_of, tags_of
from quiesce.steps import steps_of
from quiesce.wiring import Wiring

ANSWER_S = 1.0
"""Kept of the function's time for answering, whatever receivers of messages do."""


class Recorder:
    """Records of one run. ``ids`` are in every line: run, policy, trigger."""

    def __init__(self, wiring: Wiring, ids: Mapping[str, object]) -> None:
        self._wiring = wiring
        self._ids = ids

    def note(self, step: str, outcome: str, **fields: object) -> None:
        """Write one line of the run's own."""
        self._wiring.log.step({"step": step, "outcome": outcome, **self._ids, **fields})

    def record(self, outcome: Outcome) -> TargetReport:
        """Write down what one target got."""
        plan, key = outcome.plan, self._wiring.settings.certificate_key
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        certificate = issue(outcome, key, now)
        report = TargetReport(
            instance_id=plan.instance_id,
            status=status_of(outcome),
            certificate=certificate,
            label_trouble=self._label(outcome, certificate),
            partial=self._discard(outcome),
        )
        for step in steps_of(plan, outcome.entries):
            self._wiring.log.step(step)
        self.note("target", report.status.value, **summary(report))
        return report

    def _label(self, outcome: Outcome, certificate: Certificate) -> str:
        """Mark what there is, a set that is none, too: whoever finds its parts shall know what they are."""
        names = names_of(outcome)
        if not names:
            return ""
        tags = tags_of(outcome, certificate, self._wiring.settings.certificate_key)
        try:
            self._wiring.snapshots().label(names, tags, expires_at=_late_expiry(outcome.plan, certificate))
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
        return discard(self._wiring.cloud, time, leftovers, members, expires_at=expires_at, limit_s=DISCARD_S)

    def upload(self, report: Report) -> None:
        """Put the run record into its CLS topic; a failure is logged and changes nothing else."""
        topic = self._wiring.settings.cls_topic
        if topic is None:
            return
        records = [
            {**self._ids, **summary(target), "record": body_of(Report(report.run_id, report.policy, (target,)))}
            for target in report.targets
        ]
        try:
            RunRecords(self._wiring.cloud, topic).write(records, time.time_ns() // 1_000_000)
        except CloudError as error:
            self.note("run_record", "trouble", reason=str(error))

    def publish(self, report: Report) -> None:
        """Put what was got on the event bus; a failure is logged and changes nothing else."""
        bus = self._wiring.settings.event_bus
        if bus is None:
            return
        targets = [{**summary(target), "status": target.status.value} for target in report.targets]
        data = {**self._ids, "status": report.status.value, "path": body_of(report)["path"], "targets": targets}
        try:
            publish(self._wiring.cloud, bus, report.run_id, report.policy, report.status.value, data)
        except CloudError as error:
            self.note("event", "trouble", reason=str(error))

    def notify(self, report: Report, *, ends_s: float) -> None:
        """Tell those who want to know; ``ends_s``: when SCF ends this process, on the monotonic clock."""
        settings = self._wiring.settings.notify
        left_s = ends_s - ANSWER_S - time.monotonic()
        deliver(of_run(report, settings.on), settings, self._wiring.log, self._ids, left_s)


def _late_expiry(plan: TargetPlan, certificate: Certificate) -> str | None:
    """When members of a group expire, which cannot be said when they are made."""
    return plan.intents[0].expires_at if certificate.created_by == BY_GROUP else None


def summary(target: TargetReport) -> dict[str, object]:
    """Flat fields of one target, for a log line and for the run record."""
    certificate = target.certificate
    if certificate is None:
        return {"instance_id": target.instance_id, "level": Level.NONE.word, "reason": target.refusal}
    together = certificate.together
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
        **({"together": together.level, "skew_s": together.skew_s} if together else {}),
    }

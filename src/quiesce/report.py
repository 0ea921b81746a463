"""The report of one run, and its views for callers and for the snapshots' tags. Log lines: ``steps``."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from quiesce import facts
from quiesce.certificate import TAG_LEVEL, TAG_SEAL, TAG_SET_SIZE, Certificate, SigningKey, seal
from quiesce.course import Outcome
from quiesce.model import Level, OnQuiesceFailure
from quiesce.naming import pending
from quiesce.story import Story


class Status(enum.Enum):
    """How a target, or a whole run, ended."""

    REACHED = "reached"
    """The level asked for was reached everywhere."""
    WEAKER = "weaker"
    """There is a complete set of snapshots, of a weaker level than asked for."""
    IN_PROGRESS = "in_progress"
    """Another delivery of the same run is at work; ask again later."""
    DISPATCHED = "dispatched"
    """A worker has it; look for what it got later."""
    SKIPPED = "skipped"
    """The hold could not be had and the policy says to skip."""
    FAILED = "failed"
    """No complete set of snapshots."""


_WORST_FIRST = (Status.FAILED, Status.IN_PROGRESS, Status.DISPATCHED, Status.WEAKER, Status.SKIPPED, Status.REACHED)
HTTP_STATUS = {
    Status.REACHED: 200,
    Status.DISPATCHED: 202,
    Status.SKIPPED: 200,
    Status.WEAKER: 502,
    Status.IN_PROGRESS: 409,
    Status.FAILED: 502,
}
"""A pipeline that looks at the status alone must never take a weaker snapshot for the one it asked for."""


class TargetReport(msgspec.Struct, frozen=True):
    """What one instance got. ``refusal`` is set when it never came as far as the procedure."""

    instance_id: str
    status: Status
    certificate: Certificate | None
    refusal: str = ""
    label_trouble: str = ""
    partial: Mapping[str, str] = msgspec.field(default_factory=dict)
    """What became of each snapshot of a set that could not be made whole, by its id or its group's."""
    level: Level = Level.NONE
    snapshots: Mapping[str, str] = msgspec.field(default_factory=dict)
    """What was found of a run that others made; with a certificate, it says both."""


class Report(msgspec.Struct, frozen=True):
    """What the whole run got."""

    run_id: str
    policy: str
    targets: tuple[TargetReport, ...]

    @property
    def status(self) -> Status:
        """The worst of all targets; a run without targets has failed."""
        present = {target.status for target in self.targets}
        return next((status for status in _WORST_FIRST if status in present), Status.FAILED)


def status_of(outcome: Outcome) -> Status:
    """Say in one word how a target ended."""
    story = Story(tuple(entry.fact for entry in outcome.entries))
    verdict = outcome.verdict
    level = min(verdict.level, outcome.together.level) if outcome.together else verdict.level
    if level >= outcome.plan.level and verdict.release_confirmed:
        return Status.REACHED
    if verdict.level > Level.NONE:
        return Status.WEAKER
    if story.run_moved_on:
        return Status.IN_PROGRESS
    nothing_sent = not story.all(facts.CreateSent)
    if nothing_sent and outcome.plan.on_quiesce_failure is OnQuiesceFailure.SKIP and verdict.release_confirmed:
        return Status.SKIPPED
    return Status.FAILED


def names_of(outcome: Outcome) -> Mapping[str, str]:
    """Snapshot id to the name that it has from now on: its own, or still a pending one where there is no whole set.

    Only the delivery that made a set vouches for it: one that found it may have come while the first was still judging,
    and would write its own, weaker, level over the first one's.
    """
    if not any(isinstance(entry.fact, facts.CreateSent) for entry in outcome.entries):
        return {}
    made, whole = outcome.verdict.snapshots, outcome.verdict.level > Level.NONE
    return {
        made[intent.disk_id]: intent.name if whole else pending(intent.name)
        for intent in outcome.plan.intents
        if intent.disk_id in made
    }


def leftovers_of(outcome: Outcome) -> tuple[str, ...]:
    """Ids of what this delivery made of a set that could not be made whole: its snapshots, or the group that has them."""
    story = Story(tuple(entry.fact for entry in outcome.entries))
    if outcome.verdict.level > Level.NONE or not story.all(facts.CreateSent):
        return ()
    return (story.group.group_id,) if story.group else tuple(outcome.verdict.snapshots.values())


def tags_of(outcome: Outcome, certificate: Certificate, key: SigningKey) -> Mapping[str, str]:
    """Tags for the snapshots of a set: the operator's own, and what a second delivery reads."""
    plan, verdict = outcome.plan, outcome.verdict
    held = {} if certificate.held_s is None else {"quiesce:held-ms": str(round(certificate.held_s * 1000))}
    return {
        **plan.tags,
        "quiesce:run": plan.run_id,
        "quiesce:instance": plan.instance_id,
        "quiesce:policy": plan.policy,
        TAG_LEVEL: verdict.level.word,
        TAG_SET_SIZE: str(len(plan.intents)),
        TAG_SEAL: seal(plan, verdict.level, verdict.snapshots, key),
        **held,
    }


def body_of(report: Report) -> dict[str, object]:
    """Body of the HTTP answer, and return value of a timer's run."""
    return {
        "run_id": report.run_id,
        "policy": report.policy,
        "status": report.status.value,
        "path": f"/runs/{report.run_id}?policy={report.policy}",
        "targets": [_target_body(target) for target in report.targets],
    }


def rollback_of(target: TargetReport) -> list[dict[str, str]]:
    """Parameters of the ApplySnapshot calls that roll each disk back, which needs the instance stopped (API reference)."""
    snapshots = target.certificate.snapshots if target.certificate else target.snapshots
    return [{"DiskId": disk_id, "SnapshotId": snapshot_id} for disk_id, snapshot_id in snapshots.items()]


def _target_body(target: TargetReport) -> dict[str, object]:
    return {
        "instance_id": target.instance_id,
        "status": target.status.value,
        "level": target.certificate.level if target.certificate else target.level.word,
        "snapshots": target.certificate.snapshots if target.certificate else target.snapshots,
        "rollback": rollback_of(target),
        "refusal": target.refusal,
        "label_trouble": target.label_trouble,
        "partial": target.partial,
        "certificate": target.certificate,
    }

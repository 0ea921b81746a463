"""Whom to wake: whether what happened is to be told, and in which words. Sending it: adapters/deliver.

One message for each run, for each batch of a run that workers have, and for each follow-up: a WeCom bot takes about
twenty a minute (WeCom, group bots).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from quiesce.coverage import Finding, Row
from quiesce.errors import QuiesceError
from quiesce.report import Report, Status, TargetReport
from quiesce.settings import NotifyOn
from quiesce.words import _

SHOWN = 4
"""How many instances or disks a message names; the others are counted."""
SHOWN_CHARACTERS = 140
"""How much of one reason a message shows."""
LISTED = 50
"""How many instances or disks a webhook's ``items`` has."""
_WORST_FIRST = (Status.FAILED, Status.WEAKER, Status.SKIPPED, Status.REACHED)
_ASKED = {status: NotifyOn(status.value) for status in _WORST_FIRST}
_FOUND = {Finding.LATE: NotifyOn.LATE, Finding.UNCOVERED: NotifyOn.UNCOVERED}


class Message(msgspec.Struct, frozen=True):
    """What is told. ``facts`` are for programs: ``kind``, ids, and ``items``, each of a message's instances or disks."""

    title: str
    text: str
    facts: Mapping[str, object]


def of_run(report: Report, on: Collection[NotifyOn]) -> Message | None:
    """Tell what a run got; None when nothing of it is to be told. A run without targets has failed."""
    told = sorted((target for target in report.targets if _is_told(target, on)), key=_badness)
    if not told and (report.targets or NotifyOn.FAILED not in on):
        return None
    unconfirmed = [target.instance_id for target in told if _is_unconfirmed(target)]
    lines = [_row(target) for target in told] or [_("no instance was found that the policy selects")]
    facts = {
        "kind": "run",
        "run_id": report.run_id,
        "policy": report.policy,
        "status": report.status.value,
        "release_unconfirmed": unconfirmed,
        "items": [_item(target) for target in told[:LISTED]],
    }
    title = _(
        "Quiesce: {status}, run {run} of policy {policy}",
        status=report.status.value,
        run=report.run_id,
        policy=report.policy,
    )
    text = [_counted(report), *_cut(lines), *_next_of_run(report.policy, told, unconfirmed)]
    return Message(title, "\n".join(text), facts)


def of_refusal(error: QuiesceError, request_id: str, on: Collection[NotifyOn]) -> Message | None:
    """Tell that a timer's or an event's run, or a follow-up, could not begin; None when that is not to be told."""
    if NotifyOn.FAILED not in on:
        return None
    kind = type(error).__name__
    text = [
        _short(f"{kind}: {error}"),
        _("Next: the function's log has it under request_id {id}.", id=request_id),
    ]
    facts = {"kind": "refusal", "error": kind, "reason": str(error), "request_id": request_id, "items": []}
    return Message(_("Quiesce: an invocation could not begin"), "\n".join(text), facts)


def of_follow_up(counts: Mapping[str, int], rows: Iterable[Row], on: Collection[NotifyOn]) -> Message | None:
    """Tell which disks are late or uncovered; None when none is, or that is not to be told."""
    told = sorted((row for row in rows if _FOUND.get(row.finding) in on), key=_lateness)
    if not told:
        return None
    title = _("Quiesce: {late} disks late, {uncovered} without a policy", late=counts["late"], uncovered=counts["uncovered"])
    bad = [f"{counts[word]} {word}" for word in ("stuck", "vanished") if counts.get(word)]
    snapshots = [_("snapshots: {counts}", counts=", ".join(bad))] if bad else []
    following = _("Next: `quiesce coverage` shows every disk; `quiesce trigger POLICY` takes a set now.")
    facts = {"kind": "follow_up", "counts": dict(counts), "items": [_disk(row) for row in told[:LISTED]]}
    return Message(title, "\n".join([*_cut([_disk_row(row) for row in told]), *snapshots, following]), facts)


def _is_unconfirmed(target: TargetReport) -> bool:
    return target.certificate is not None and not target.certificate.release_confirmed


def _is_told(target: TargetReport, on: Collection[NotifyOn]) -> bool:
    return _is_unconfirmed(target) or _ASKED.get(target.status) in on


def _badness(target: TargetReport) -> tuple[bool, int, str]:
    place = _WORST_FIRST.index(target.status) if target.status in _WORST_FIRST else len(_WORST_FIRST)
    return not _is_unconfirmed(target), place, target.instance_id


def _counted(report: Report) -> str:
    statuses = [target.status for target in report.targets]
    found = [f"{statuses.count(status)} {status.value}" for status in Status if status in statuses]
    return _("instances: {counts}", counts=", ".join(reversed(found)) or "0")


def _reason(target: TargetReport) -> str:
    return "; ".join(target.certificate.reasons) if target.certificate else target.refusal


def _level(target: TargetReport) -> str:
    return target.certificate.level if target.certificate else target.level.word


def _row(target: TargetReport) -> str:
    what = _("RELEASE NOT CONFIRMED") if _is_unconfirmed(target) else target.status.value
    return _short(f"{target.instance_id}: {what}, {_level(target)}: {_reason(target)}".removesuffix(": "))


def _item(target: TargetReport) -> dict[str, object]:
    return {
        "instance_id": target.instance_id,
        "status": target.status.value,
        "level": _level(target),
        "release_confirmed": not _is_unconfirmed(target),
        "reason": _reason(target),
    }


def _next_of_run(policy: str, told: Sequence[TargetReport], unconfirmed: Sequence[str]) -> list[str]:
    if unconfirmed:
        shown = ", ".join(unconfirmed[:SHOWN])
        return [
            _(
                "Next: look at {instances} NOW: `quiesced status` there shows what is held, "
                "`systemctl restart quiesced` lets go of it.",
                instances=shown,
            )
        ]
    if all(target.status is Status.REACHED for target in told) and told:
        return []
    return [_("Next: when the reason is gone, `quiesce trigger {policy}` runs it again.", policy=policy)]


def _lateness(row: Row) -> tuple[bool, float, str]:
    """Sort what has no point at all first, then by how much too old the newest is, and what no policy covers last."""
    late_hours = float("inf") if row.age_hours is None else row.age_hours - (row.objective_hours or 0.0)
    return row.finding is not Finding.LATE, -late_hours, row.disk_id


def _disk_row(row: Row) -> str:
    where = _("{disk_id} of {instance_id}", disk_id=row.disk_id, instance_id=row.instance_id)
    if row.finding is Finding.UNCOVERED:
        return _("{disk}: no policy covers it", disk=where)
    age = _("no point of the level asked for") if row.age_hours is None else _("{hours:g} h", hours=round(row.age_hours, 1))
    return _(
        "{disk}: late: {age}, {hours:g} h is the objective ({policies})",
        disk=where,
        age=age,
        hours=row.objective_hours or 0.0,
        policies=" ".join(row.policies),
    )


def _disk(row: Row) -> dict[str, object]:
    return {
        "disk_id": row.disk_id,
        "instance_id": row.instance_id,
        "finding": row.finding.value,
        "policies": list(row.policies),
        "objective_hours": row.objective_hours,
        "age_hours": None if row.age_hours is None else round(row.age_hours, 2),
    }


def _cut(lines: Sequence[str]) -> list[str]:
    left = len(lines) - SHOWN
    return [*lines[:SHOWN], _("and {count} more", count=left)] if left > 0 else list(lines)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"

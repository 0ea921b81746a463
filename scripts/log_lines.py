"""What the function's log says: every field, and every step with its outcomes.

The one list that the index and the alarms of CLS (cls_definitions) and docs/reference/log-fields.md are made from. A test
holds it against the code that writes the lines (tests/deployment/test_log_lines.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from quiesce.model import Level
from quiesce.report import Status

WORD, PROSE, WHOLE, NUMBER = "word", "prose", "whole", "number"
"""Kinds of fields: ids and words (several are separated by spaces; true and false are words), sentences, numbers."""


@dataclass(frozen=True)
class Field:
    """One field: its kind, and what it says."""

    kind: str
    meaning: str


@dataclass(frozen=True)
class Step:
    """One value of ``step``: when it is written, its outcomes with their meaning, and fields beside those of every line."""

    meaning: str
    outcomes: Mapping[str, str]
    fields: tuple[str, ...] = ()


ALWAYS = ("program", "version", "request_id", "step", "outcome", "truncated", "fields")
"""May be in any line; ``outcome`` where a step has one, the last two where a line was too long."""
OF_A_TARGET = ("run_id", "policy", "instance_id", "since_start_ms")
OF_A_RUN = ("run_id", "policy", "trigger", "batch")

FIELDS: Mapping[str, Field] = {
    "program": Field(WORD, "always `quiesce`"),
    "version": Field(WORD, "release of the function"),
    "request_id": Field(WORD, "SCF's id of the invocation"),
    "step": Field(WORD, "what the line is about"),
    "outcome": Field(WORD, "how it ended, or how it stands"),
    "truncated": Field(WORD, "true where texts were cut because a line may have 8 KB"),
    "fields": Field(WHOLE, "how many fields a line had that was too long even so"),
    "run_id": Field(WORD, "the run; the same in every delivery of it"),
    "policy": Field(WORD, "the policy"),
    "trigger": Field(WORD, "what started it: timer, http, event, or follow_up"),
    "batch": Field(WHOLE, "number of the batch that a worker has"),
    "of": Field(WHOLE, "how many batches the run has"),
    "targets": Field(WHOLE, "how many instances"),
    "done": Field(WHOLE, "how many instances this delivery got done"),
    "kind": Field(WORD, "class of the error that refused a request (src/quiesce/errors.py)"),
    "reason": Field(PROSE, "why, in words"),
    "instance_id": Field(WORD, "the instance"),
    "since_start_ms": Field(NUMBER, "milliseconds since the first line about this instance"),
    "lease_id": Field(WORD, "the hold, as the daemon knows it"),
    "codes": Field(WORD, "codes of the hook's refusals (hooks/PROTOCOL.md)"),
    "hook_steps": Field(PROSE, "where the hook's time went, in milliseconds: `preflush=51.2 lock=0.9 ...`"),
    "held_ms": Field(NUMBER, "milliseconds that the hold lasted, by the daemon's clock"),
    "without_gap": Field(WORD, "whether it held from its answer to the release"),
    "stalled_writers": Field(WHOLE, "most writers that waited at the same time"),
    "writer_s": Field(NUMBER, "seconds that writers waited, all together"),
    "disk_id": Field(WORD, "the disk"),
    "disk_ids": Field(WORD, "the disks of a group"),
    "snapshot_id": Field(WORD, "the snapshot"),
    "snapshot_ids": Field(WORD, "the snapshots of the set"),
    "group_id": Field(WORD, "the snapshot group"),
    "code": Field(WORD, "the cloud's error code"),
    "moment": Field(WORD, "what `hold_until` waited for"),
    "level": Field(WORD, "what the set may be called"),
    "level_asked": Field(WORD, "what the policy asks for"),
    "release_confirmed": Field(WORD, "false where nobody confirmed that a hold has ended"),
    "label_trouble": Field(PROSE, "why names or tags could not be written"),
    "partial": Field(PROSE, "what became of each snapshot of a set that is not whole"),
    "together": Field(WORD, "the level of all instances of a consistency group as one"),
    "skew_s": Field(NUMBER, "seconds between the first call and the last acceptance of a consistency group"),
    "record": Field(PROSE, "the whole result with its certificate, as JSON; in the topic of run records only"),
    "finding": Field(WORD, "as `outcome`"),
    "policies": Field(WORD, "the policies that cover the disk"),
    "objective_hours": Field(NUMBER, "how old the newest point may be, in hours"),
    "age_hours": Field(NUMBER, "how old it, or the snapshot, is, in hours"),
    **{
        level.word: Field(WORD, f"when the newest point of level {level.word} or better was made (ISO 8601)")
        for level in Level
        if level > Level.NONE
    },
    "percent": Field(WHOLE, "how much of a snapshot is made"),
    "missing": Field(WHOLE, "how many members its set has lost"),
    "region": Field(WORD, "the region that is copied to"),
    "accounts": Field(WORD, "the accounts that it is shared with"),
    "renamed": Field(WHOLE, "snapshots that got their final names"),
    "creating": Field(WHOLE, "snapshots that are not complete yet"),
    "stuck": Field(WHOLE, "snapshots that are not complete after six hours"),
    "vanished": Field(WHOLE, "snapshots whose set has lost a member"),
    "deleted": Field(WHOLE, "snapshots that retention let go"),
    "covered": Field(WHOLE, "disks whose objective is met"),
    "late": Field(WHOLE, "disks whose objective is missed"),
    "uncovered": Field(WHOLE, "disks that no policy covers"),
}
_STATUSES = {
    Status.REACHED.value: "the level asked for was reached",
    Status.WEAKER.value: "a complete set of a weaker level",
    Status.IN_PROGRESS.value: "another delivery is at work",
    Status.DISPATCHED.value: "workers have it",
    Status.SKIPPED.value: "no hold could be had, and the policy says to skip",
    Status.FAILED.value: "no complete set",
}
_TROUBLE = {"trouble": "it failed, and `reason` says why"}
_COUNTS = ("renamed", "creating", "stuck", "vanished", "deleted", "covered", "late", "uncovered")
SUMMARY = (
    *("instance_id", "level", "level_asked", "snapshot_ids", "held_ms", "stalled_writers", "writer_s"),
    *("release_confirmed", "reason", "label_trouble", "partial", "together", "skew_s"),
)
_HELD = (*OF_A_TARGET, "lease_id", "reason", "hook_steps")

STEPS: Mapping[str, Step] = {
    "request": Step("an event or request", {"refused": "nothing was touched"}, ("kind", "reason")),
    "run": Step("the whole run", {"planned": "its instances are known", **_STATUSES}, (*OF_A_RUN, "targets")),
    "batch": Step(
        "a batch of a run of many",
        {
            "sent": "a worker was started for it",
            "not_sent": "no worker could be started",
            "begun": "the worker is at work",
            "unfinished": "SCF delivers it again",
            **_STATUSES,
        },
        (*OF_A_RUN, "of", "targets", "done", "reason"),
    ),
    "target": Step("an instance, and what it got", {"started": "it begins", **_STATUSES}, (*OF_A_RUN, *SUMMARY)),
    "look_up": Step("looking for what an earlier delivery made", _TROUBLE, (*OF_A_TARGET, "reason")),
    "adopt": Step(
        "a snapshot of an earlier delivery",
        {**{level.word: "it was recorded with this level" for level in Level}, "unrecorded": "no record can be verified"},
        (*OF_A_TARGET, "disk_id", "snapshot_id"),
    ),
    "check": Step(
        "what a hold would cover",
        {"ready": "it can be had", "refused": "`codes` says why not", **_TROUBLE},
        (*OF_A_TARGET, "codes", "reason"),
    ),
    "connect": Step("connections, and room in the rate limit, before the hold", _TROUBLE, (*OF_A_TARGET, "reason")),
    "quiesce_asked": Step("a hold is asked for; from here on a release is owed", {}, (*OF_A_TARGET, "lease_id")),
    "prepare": Step("everything slow of a hold", {"prepared": "done", "refused": "why, in `reason`", **_TROUBLE}, _HELD),
    "quiesce": Step("the hold", {"held": "nobody writes", "refused": "why, in `reason`", **_TROUBLE}, _HELD),
    "together": Step("a consistency group of which one fell out", _TROUBLE, (*OF_A_TARGET, "reason")),
    "create_sent": Step("CreateSnapshot is sent", {}, (*OF_A_TARGET, "disk_id")),
    "create": Step(
        "CreateSnapshot answered",
        {"accepted": "it has an id", "refused": "none was made", "unknown": "the answer was lost"},
        (*OF_A_TARGET, "disk_id", "snapshot_id", "code", "reason"),
    ),
    "create_group": Step(
        "CreateSnapshotGroup answered",
        {"accepted": "it has an id", "unavailable": "this account has no groups; each disk is asked for by itself"},
        (*OF_A_TARGET, "group_id", "disk_ids", "code", "reason"),
    ),
    "member": Step("a snapshot of the group", {}, (*OF_A_TARGET, "disk_id", "snapshot_id", "group_id")),
    "members": Step("a snapshot that is not in the group", _TROUBLE, (*OF_A_TARGET, "reason")),
    "hold_until": Step(
        "the moment after which writers may go on",
        {"seen": "it came while holding", "not_seen": "it did not", **_TROUBLE},
        (*OF_A_TARGET, "moment", "reason"),
    ),
    "release_asked": Step("the release is sent", {}, (*OF_A_TARGET, "lease_id")),
    "release": Step(
        "the release",
        {
            "released": "it was held until now",
            "expired": "the hold had ended by itself",
            "never_held": "there was none",
            "trouble": "NOT CONFIRMED: look at the instance",
        },
        (*_HELD, "held_ms", "without_gap", "stalled_writers", "writer_s"),
    ),
    "reconcile": Step("finding out what a call made whose answer was lost", _TROUBLE, (*OF_A_TARGET, "reason")),
    "run_record": Step("the record in its CLS topic", _TROUBLE, (*OF_A_RUN, "reason")),
    "event": Step("the result on the event bus", _TROUBLE, (*OF_A_RUN, "reason")),
    "notify": Step("a message to somebody", {"sent": "it was taken", "trouble": "it did not arrive"}, (*OF_A_RUN, "reason")),
    "follow_up": Step("the follow-up, with what it counted", {"done": "all of it was looked at"}, _COUNTS),
    "coverage": Step(
        "a disk, as the follow-up finds it; in a run, what a hold would not cover",
        {"late": "its objective is missed", "uncovered": "no policy covers it", **_TROUBLE},
        (
            *OF_A_TARGET,
            *("finding", "disk_id", "policies", "objective_hours", "age_hours", "reason"),
            *(level.word for level in Level if level > Level.NONE),
        ),
    ),
    "snapshot": Step(
        "a snapshot that cannot be restored from, as the follow-up finds it",
        {
            "creating": "it is being made",
            "stuck": "it is not complete after six hours",
            "vanished": "its set has lost a member",
        },
        ("snapshot_id", "disk_id", "run_id", "percent", "missing", "age_hours"),
    ),
    "rename": Step("a snapshot's final name", _TROUBLE, ("snapshot_id", "reason")),
    "prune": Step(
        "a snapshot that retention lets go",
        {"deleted": "it is gone", "not_deleted": "it is not, and `reason` says why"},
        ("policy", "snapshot_id", "disk_id", "reason"),
    ),
    "copy": Step(
        "a copy in another region",
        {
            "begun": "the cloud is copying",
            "not_begun": "it is not",
            "settled": "it expires, and has its tags",
            "not_settled": "it does not, or has not",
            "not_listed": "the region's snapshots cannot be listed",
        },
        ("policy", "region", "snapshot_id", "reason"),
    ),
    "share": Step(
        "a share with another account",
        {"shared": "it may be used there", "taken_back": "its days are over", **_TROUBLE},
        ("policy", "snapshot_id", "accounts", "reason"),
    ),
}
RECORD_FIELDS = (*OF_A_RUN, *SUMMARY, "record")
"""What the topic of run records has (QUIESCE_CLS_TOPIC)."""
LOG_FIELDS = tuple(name for name in FIELDS if name != "record")
"""What the function's own log topic has."""

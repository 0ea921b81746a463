"""Log lines of one target: a flat view of its journal, one mapping per step."""

from __future__ import annotations

from quiesce import facts, holds
from quiesce.model import TargetPlan


def steps_of(plan: TargetPlan, entries: tuple[facts.Timed, ...]) -> list[dict[str, object]]:
    """Flat log fields, one mapping per step, in order; ``since_start_ms`` counts from the first fact of the target."""
    start_s = entries[0].at_s if entries else 0.0
    head = {"run_id": plan.run_id, "policy": plan.policy, "instance_id": plan.instance_id}
    return [{**head, "since_start_ms": round((entry.at_s - start_s) * 1000, 3), **_fields(entry.fact)} for entry in entries]


def _fields(fact: facts.Fact) -> dict[str, object]:
    """One step's own fields: first-level values only, because CLS indexes nothing deeper (facts: SCF, logs)."""
    match fact:
        case facts.Checked(answer):
            codes = " ".join(refusal.code for refusal in answer.refusals)
            return {"step": "check", "outcome": "ready" if answer.ready else "refused", "codes": codes}
        case facts.QuiesceAsked(lease_id) | facts.ReleaseAsked(lease_id):
            asked = "quiesce_asked" if isinstance(fact, facts.QuiesceAsked) else "release_asked"
            return {"step": asked, "lease_id": lease_id}
        case facts.PrepareAnswered(answer) | facts.QuiesceAnswered(answer):
            refused = f"{answer.refusal.code}: {answer.refusal.message}" if answer.refusal else ""
            return {
                "step": "prepare" if isinstance(fact, facts.PrepareAnswered) else "quiesce",
                "lease_id": answer.lease_id,
                "outcome": answer.state,
                "reason": refused,
                **_hook_steps(answer.steps),
            }
        case facts.Released(answer):
            return {
                "step": "release",
                "lease_id": answer.lease_id,
                "outcome": answer.state,
                "held_ms": round(answer.held_s * 1000, 3),
                "without_gap": answer.held_without_gap,
                "reason": answer.reason,
                "stalled_writers": max((stall.peak_writers for stall in answer.stalls), default=0),
                "writer_s": round(sum(stall.writer_s for stall in answer.stalls), 3),
                **_hook_steps(answer.steps),
            }
        case _:
            return _cloud_fields(fact)


def _hook_steps(steps: tuple[holds.Step, ...]) -> dict[str, object]:
    """Say where the hook's time went, as ``preflush=51.2 lock=0.9 ...`` in milliseconds."""
    return {"hook_steps": " ".join(f"{step.name}={step.elapsed_s * 1000:.1f}" for step in steps)}


def _cloud_fields(fact: facts.Fact) -> dict[str, object]:
    """What was asked of the cloud, and its answers."""
    match fact:
        case facts.CreateSent(disk_id):
            return {"step": "create_sent", "disk_id": disk_id}
        case facts.Accepted(disk_id, snapshot_id):
            return {"step": "create", "outcome": "accepted", "disk_id": disk_id, "snapshot_id": snapshot_id}
        case facts.NotAccepted(disk_id, code, message, ambiguous):
            outcome = "unknown" if ambiguous else "refused"
            return {"step": "create", "outcome": outcome, "disk_id": disk_id, "code": code, "reason": message}
        case facts.GroupAccepted(group_id, disk_ids):
            return {"step": "create_group", "outcome": "accepted", "group_id": group_id, "disk_ids": " ".join(disk_ids)}
        case facts.GroupUnavailable(code, message):
            return {"step": "create_group", "outcome": "unavailable", "code": code, "reason": message}
        case _:
            return _look_fields(fact)


def _look_fields(fact: facts.Fact) -> dict[str, object]:
    """What was seen when it was looked at, and what failed."""
    match fact:
        case facts.Member(disk_id, snapshot_id, group_id):
            return {"step": "member", "disk_id": disk_id, "snapshot_id": snapshot_id, "group_id": group_id}
        case facts.Adopted(disk_id, snapshot_id, recorded):
            level = recorded.word if recorded is not None else "unrecorded"
            return {"step": "adopt", "outcome": level, "disk_id": disk_id, "snapshot_id": snapshot_id}
        case facts.WaitedUntil(moment, seen):
            return {"step": "hold_until", "outcome": "seen" if seen else "not_seen", "moment": moment}
        case facts.Trouble(where, reason):
            return {"step": where, "outcome": "trouble", "reason": reason}
        case _:
            raise AssertionError(f"a fact that no log line describes: {fact!r}")

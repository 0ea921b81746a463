"""The items of each kind of JSON that commands print, from which docs/schemas is written (python -m scripts.schemas).

A key may be added; one that is taken away, or that means something else, makes a new version (output.VERSION).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from quiesce.commands.output import VERSION


class Set(msgspec.Struct, frozen=True):
    """A set of snapshots: what one run made of one instance. Times in ISO 8601."""

    run_id: str
    policy: str
    instance_id: str
    created_at: str
    age_hours: float
    level: str
    state: str
    percent: int
    disks: int
    missing: int
    held_ms: int | None


class Member(msgspec.Struct, frozen=True):
    """A snapshot of a set; ``bound`` says what keeps it from being deleted."""

    snapshot_id: str
    disk_id: str
    complete: bool
    percent: int
    bound: str
    tags: dict[str, str]


class ShownSet(Set, frozen=True, kw_only=True):
    """A set with its members."""

    snapshots: tuple[Member, ...]


class Planned(msgspec.Struct, frozen=True):
    """One target of a run that has not begun; of one that was refused, only what is known."""

    instance_id: str
    ready: str
    obstacles: str
    disks: str = ""
    size_gib: int = 0
    applications: str = ""
    names: tuple[str, ...] = ()
    sets: int = 0
    hold_ms: int | None = None
    longest_hold_ms: int | None = None
    hold_limit_ms: int | None = None
    cost: float | None = None


class Pruned(msgspec.Struct, frozen=True):
    """One snapshot that retention has decided about."""

    policy: str
    instance_id: str
    disk_id: str
    snapshot_id: str
    created_at: str
    level: str
    fate: str
    reason: str


class Covered(msgspec.Struct, frozen=True):
    """One disk, with when its newest point of at least each level was made."""

    finding: str
    instance_id: str
    disk_id: str
    policies: str
    objective_hours: float | None
    age_hours: float | None
    application: str | None = None
    filesystem: str | None = None
    crash: str | None = None
    unknown: str | None = None


class Found(msgspec.Struct, frozen=True):
    """One question of ``doctor`` with its answer."""

    question: str
    state: str
    what: str
    todo: str


class Step(msgspec.Struct, frozen=True):
    """One thing to do in a restore."""

    what: str
    command: str


class Restore(msgspec.Struct, frozen=True):
    """How to restore one set."""

    instance_id: str
    run_id: str
    level: str
    steps: tuple[Step, ...]


class PolicyRow(msgspec.Struct, frozen=True):
    """What a policy says."""

    policy: str
    level: str
    targets: str
    disks: str
    hold_limit_s: float
    on_quiesce_failure: str
    retention: str
    objective_hours: float | None


class Problem(msgspec.Struct, frozen=True):
    """One problem of a policy file, with its path in the file."""

    problem: str


class TargetResult(msgspec.Struct, frozen=True):
    """What one instance got; the certificate has a schema of its own."""

    instance_id: str
    status: str
    level: str
    snapshots: dict[str, str]
    rollback: tuple[dict[str, str], ...]
    refusal: str
    label_trouble: str
    partial: dict[str, str]
    certificate: dict[str, Any] | None


class RunResult(msgspec.Struct, frozen=True):
    """What a run got."""

    run_id: str
    policy: str
    status: str
    path: str
    targets: tuple[TargetResult, ...]


class Deed(msgspec.Struct, frozen=True):
    """One thing that a deployment did, or would do, and by which action of the cloud."""

    deed: str
    subject: str
    detail: str
    call: str


class AgentResult(msgspec.Struct, frozen=True):
    """What became of the daemon on one instance."""

    instance_id: str
    outcome: str
    detail: str
    address: str = ""


class AgentState(msgspec.Struct, frozen=True):
    """What there is of the daemon on one instance."""

    instance_id: str
    outcome: str
    detail: str
    program: str = ""
    service: str = ""
    certificate_ends: str = ""
    keys: str = ""


KINDS: Mapping[str, type[msgspec.Struct]] = {
    "agent-status": AgentState,
    "agents": AgentResult,
    "coverage": Covered,
    "deployment": Deed,
    "doctor": Found,
    "plan": Planned,
    "policies": PolicyRow,
    "policy-problems": Problem,
    "pruned": Pruned,
    "restore": Restore,
    "run": RunResult,
    "set": ShownSet,
    "sets": Set,
}


def schema_of(kind: str) -> dict[str, Any]:
    """Write the JSON Schema of a whole document of a kind."""
    (items,), definitions = msgspec.json.schema_components([KINDS[kind]], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["version", "kind", "items"],
        "properties": {"version": {"const": VERSION}, "kind": {"const": kind}, "items": {"type": "array", "items": items}},
        "$defs": definitions,
    }

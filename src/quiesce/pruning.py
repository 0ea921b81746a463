"""Pruning: what retention lets go of one policy's snapshots is deleted, one id a call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from quiesce.adapters import estate
from quiesce.adapters.discard import delete
from quiesce.adapters.estate import Made
from quiesce.adapters.tencent import Cloud
from quiesce.policies import Policy
from quiesce.retention import Decision, Point, Rules, decide


@dataclass(frozen=True)
class Pruned:
    """One snapshot: what was decided of it, why, and why deleting it failed, if it did."""

    point: Point
    keep: bool
    reasons: tuple[str, ...]
    failure: str = ""


def made_for(name: str, policy: Policy, made: Iterable[Made]) -> list[Made]:
    """Those that were made for a policy: by its tag, and where that is missing by its prefix."""
    prefix = policy.name_prefix or name
    return [one for one in made if one.policy == name or (not one.policy and one.prefix == prefix)]


def plan(name: str, policy: Policy, made: Iterable[Made], now: datetime) -> tuple[Decision, ...]:
    """Decide about every set of a policy; without a ``retention`` table everything stays."""
    rules = Rules(**msgspec.to_builtins(policy.retention)) if policy.retention else Rules()
    return decide([one.point for one in made_for(name, policy, made)], rules, now)


def carry_out(decisions: Sequence[Decision], cloud: Cloud | None) -> tuple[Pruned, ...]:
    """Delete what may go; without a ``cloud`` only say what would. A failure stops nothing."""
    api = estate.writer(cloud) if cloud else None
    return tuple(
        Pruned(point, one.keep, one.reasons, delete(api, point.snapshot_id, single=True) if api and not one.keep else "")
        for one in decisions
        for point in one.points
    )

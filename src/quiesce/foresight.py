"""What a run would do, known before it does anything: targets, names, what hooks say, and how long holds took lately."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from quiesce.errors import AgentError
from quiesce.holds import CheckAnswer, CheckRequest
from quiesce.model import TargetPlan
from quiesce.parallel import at_once
from quiesce.plan import Disk
from quiesce.ports import Agent
from quiesce.sets import MadeSet

LOOKED_AT = 20
"""How many of the newest sets of an instance a forecast is made from."""


@dataclass(frozen=True)
class Forecast:
    """One target: ``checked`` is what its hook says, or why it says nothing. Holds in milliseconds, of ``sets`` sets."""

    plan: TargetPlan
    size_gib: int
    checked: CheckAnswer | str
    sets: int
    hold_ms: int | None
    longest_hold_ms: int | None

    @property
    def ready(self) -> bool | None:
        """Whether the hook would hold; None when it was not asked."""
        return self.checked.ready if isinstance(self.checked, CheckAnswer) else False if self.checked else None

    @property
    def obstacles(self) -> str:
        """Everything that stands in the way, in words."""
        if isinstance(self.checked, str):
            return self.checked
        return "; ".join(f"{refusal.code}: {refusal.message}" for refusal in self.checked.refusals)

    @property
    def applications(self) -> str:
        """What would be held, and how."""
        if isinstance(self.checked, str):
            return ""
        return ", ".join(f"{one.name} ({one.engine} {one.mode})".replace(" )", ")") for one in self.checked.applications)


def foresee(
    plans: Sequence[TargetPlan], disks: Iterable[Disk], sets: Sequence[MadeSet], agents: Mapping[str, Agent]
) -> list[Forecast]:
    """Forecast each target. ``agents``: by instance id; who is not among them is not asked."""
    sizes = {disk.disk_id: disk.size_gib for disk in disks}
    checked = at_once(lambda plan: _checked(plan, agents.get(plan.instance_id)), plans, at_most=8) if plans else []
    return [_forecast(plan, sizes, answer, sets) for plan, answer in zip(plans, checked, strict=True)]


def _checked(plan: TargetPlan, agent: Agent | None) -> CheckAnswer | str:
    if agent is None:
        return ""
    limits = plan.limits
    request = CheckRequest(
        run_id=plan.run_id,
        disks=plan.disks,
        acquire_limit_s=limits.acquire_limit_s,
        hold_limit_s=limits.hold_limit_s,
    )
    try:
        return agent.check(request)
    except AgentError as error:
        return str(error)


def _forecast(plan: TargetPlan, sizes: Mapping[str, int], checked: CheckAnswer | str, sets: Sequence[MadeSet]) -> Forecast:
    held = [one.held_ms for one in sets if one.instance_id == plan.instance_id and one.held_ms is not None][:LOOKED_AT]
    return Forecast(
        plan=plan,
        size_gib=sum(sizes.get(disk_id, 0) for disk_id in plan.disks),
        checked=checked,
        sets=len(held),
        hold_ms=round(statistics.median(held)) if held else None,
        longest_hold_ms=max(held, default=None),
    )

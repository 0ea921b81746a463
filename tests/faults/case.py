"""One case: a run that meets its fault, deliveries after it, and what all of it left behind."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from quiesce_lab.errors import LabError
from quiesce_lab.scf import OK, Invocation, Invoked
from tests.faults.expected import why_not_application
from tests.faults.outside import State, committed_during_the_calls, snapshots_of, state_of, state_within
from tests.faults.rig import MARGIN_S, PROMISED_S, Rig, report_target, stops_the_function
from tests.faults.steps import Side
from tests.faults.table import Case, Kind

LEVELS = ("none", "unknown", "crash", "filesystem", "application")
ENOUGH = 20
"""Commits that show that writers go on."""
RUN_LIMIT_S = 40.0

STUCK, MISLABELLED, DUPLICATED = "stuck", "mislabelled", "duplicated"
STATE_CHANGED, NEXT_RUN_FAILED, NOT_FIRED = "state_changed", "next_run_failed", "not_fired"
Problem = tuple[str, str]
"""Which promise was broken, and how."""


@dataclass
class Told:
    """What one delivery said of itself; ``target`` is None when it said nothing."""

    target: Mapping[str, Any] | None
    how: str

    @classmethod
    def by(cls, invoked: Invoked) -> Told:
        """Read an invocation."""
        return cls(
            report_target(invoked.value) if invoked.status == OK else None, f"{invoked.status} {invoked.error[-300:]}"
        )

    @property
    def level(self) -> str:
        """The level that it claims; empty when it claims none at all."""
        return str(self.target["level"]) if self.target else ""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it claims no more, in words."""
        if self.target is None:
            return ()
        certificate = self.target["certificate"]
        return tuple(certificate["reasons"]) if certificate else (self.target["refusal"],)

    @property
    def snapshots(self) -> set[str]:
        """Ids of the set that it names."""
        certificate = self.target["certificate"] if self.target else None
        return set(certificate["snapshots"].values()) if certificate else set()


@dataclass
class Result:
    """What a case showed."""

    case: Case
    problems: list[Problem] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def levels(self) -> str:
        """Levels that the deliveries claimed, in order."""
        return " > ".join(told.level or "nothing" for told in self.told)


def run_case(rig: Rig, case: Case, before: State) -> Result:
    """Run one case and the run after it, and look at everything. Raises LabError when the lab itself fails."""
    result, began_s = meet(rig, case, before), time.monotonic()
    rig.forget_snapshots()
    result.problems += _next_run(rig)
    rig.forget_snapshots()
    result.seconds += time.monotonic() - began_s
    return result


def meet(rig: Rig, case: Case, before: State, *, durability: int = 2) -> Result:
    """Let a run meet its fault, deliver it again, and look at all of it; the snapshots stay. Raises LabError."""
    result, began_s = Result(case), time.monotonic()
    event = rig.stage.event()
    rig.stage.host.set_durability(durability)
    before = replace(before, variables=state_of(rig.stage.host).variables)
    second = rig.second_delivery(event) if case.kind is Kind.SECOND_DELIVERY else None
    invocation = rig.function(**rig.arm(case)).start(event)
    result.told.append(_first(rig, case, invocation, result))
    result.problems += _writable(rig, "when the run had ended")
    if not _fired(rig, case):
        result.problems.append((NOT_FIRED, "the fault's moment never came"))
    rig.disarm()
    made = set(snapshots_of(rig.stage))
    if second is not None:
        result.told.append(Told.by(_ended(second)))
    result.problems += _idle(rig)
    result.problems += _deliver_again(rig, event, result)
    result.problems += [*_labels(rig, result, made), *_sets(rig, result), *_state(rig, before), *_stalls(rig, began_s)]
    result.seconds = time.monotonic() - began_s
    return result


def _first(rig: Rig, case: Case, invocation: Invocation, result: Result) -> Told:
    """Wait for the run that meets the fault; one that hangs is ended once the writers have been seen to go on."""
    if not stops_the_function(case):
        return Told.by(_ended(invocation))
    give_up_at = time.monotonic() + RUN_LIMIT_S
    while rig.fired_at is None and time.monotonic() < give_up_at:
        time.sleep(0.01)
    result.problems += _writable(rig, "while the function hung")
    invocation.kill()
    return Told.by(invocation.wait())


def _ended(invocation: Invocation) -> Invoked:
    """Wait for an invocation's end, with a bound of the matrix's own. Killed by it, it has no report."""
    give_up_at = time.monotonic() + RUN_LIMIT_S
    while invocation.running and time.monotonic() < give_up_at:
        time.sleep(0.005)
    invocation.kill()
    return invocation.wait()


def _fired(rig: Rig, case: Case) -> bool:
    if case.step.side is Side.CLOUD:
        return any(call.fault for call in rig.stage.site.cloud.record.of(case.step.name))
    return rig.fired_at is not None


def _writable(rig: Rig, when: str) -> Iterator[Problem]:
    load = rig.stage.host.load
    try:
        load.wait_until_acked(load.acked() + ENOUGH, timeout_s=PROMISED_S + MARGIN_S)
    except LabError as error:
        yield STUCK, f"{when}: {error}"


def _idle(rig: Rig) -> Iterator[Problem]:
    """The daemon, as it is now or as it was started again, holds nothing for longer than was promised."""
    said = rig.idle_within(PROMISED_S + MARGIN_S)
    if said:
        yield STUCK, f"the daemon does not become idle: {said}"
        rig.daemon.process.kill_alone()
        rig.daemon.start()


def _deliver_again(rig: Rig, event: object, result: Result) -> Iterator[Problem]:
    """Deliver the event once more where a delivery is missing its end, as SCF does: it has to end with one set or none."""
    if result.told[-1].level == "application":
        return
    told = Told.by(rig.function().invoke(event))
    result.told.append(told)
    if told.target is None:
        yield NEXT_RUN_FAILED, f"the delivery after the fault said nothing: {told.how}"


def _labels(rig: Rig, result: Result, made: set[str]) -> Iterator[Problem]:
    """No set is called better than it is, and every lower level has a reason in words."""
    excluded = why_not_application(result.case)
    for told in result.told:
        if told.target is not None and told.level != "application" and not any(told.reasons):
            yield MISLABELLED, f"{told.level} without a reason"
        if told.level == "application" and excluded and told.snapshots & made:
            yield MISLABELLED, f"application, although {excluded}"
        if told.level in ("filesystem", "application"):
            during = committed_during_the_calls(rig.stage, told.snapshots)
            if during or not told.snapshots:
                yield MISLABELLED, f"{told.level}, but {during} commits were acknowledged during the calls"
    yield from _never_better_later(result, made)


def _never_better_later(result: Result, made: set[str]) -> Iterator[Problem]:
    """A later delivery does not think better of the same set than the one that made it."""
    first, last = result.told[0], result.told[-1]
    same = first.level and first.snapshots and first.snapshots == last.snapshots
    if same and LEVELS.index(last.level) > LEVELS.index(first.level):
        yield MISLABELLED, f"{first.level} became {last.level}: {last.reasons}"


def _sets(rig: Rig, result: Result) -> Iterator[Problem]:
    """The cloud has exactly the set that the last delivery names, or nothing."""
    there = snapshots_of(rig.stage)
    if len(there) > len(rig.stage.host.disk_ids):
        yield DUPLICATED, f"{sorted(there.values())} for one run; deliveries said {result.levels}"
    named = {snapshot_id for told in result.told for snapshot_id in told.snapshots}
    if set(there) != named and result.case.kind is not Kind.VANISHED:
        yield DUPLICATED, f"the cloud has {there}, the deliveries named {sorted(named)}; they said {result.levels}"


def _state(rig: Rig, before: State) -> Iterator[Problem]:
    after = state_within(rig.stage.host, before, 3.0)
    if after != before:
        yield STATE_CHANGED, f"{before} became {after}"


def _stalls(rig: Rig, began_s: float) -> Iterator[Problem]:
    gap_s = rig.stage.host.load.longest_gap_s(began_s, time.monotonic())
    if gap_s > PROMISED_S + MARGIN_S:
        yield STUCK, f"a writer waited for {gap_s:.2f} s, and {PROMISED_S:g} s were promised"


def _next_run(rig: Rig) -> Iterator[Problem]:
    told = Told.by(rig.function().invoke(rig.stage.event()))
    if told.level != "application":
        yield NEXT_RUN_FAILED, f"the next run got {told.level or told.how}: {told.reasons}"

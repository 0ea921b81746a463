"""Several instances that are cut together: all held before anything is created, or nothing of any."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from quiesce import facts, holds, session
from quiesce.course import Outcome, Target
from quiesce.model import Level, OnQuiesceFailure
from quiesce.procedure import protect_together
from tests.function.fake_instance import FakeClock, Faults
from tests.function.fake_world import FakeWorld, plan_for

MEMBERS = ("ins-1", "ins-2", "ins-3")
Release = Callable[[holds.ReleaseRequest], holds.ReleaseAnswer]


class Shards:
    """Three instances on one clock, each with a disk of its own."""

    def __init__(self, on_failure: OnQuiesceFailure = OnQuiesceFailure.FAIL) -> None:
        self.clock = FakeClock()
        self.worlds = {name: FakeWorld(disks=(f"disk-{name}",), clock=self.clock, faults=Faults()) for name in MEMBERS}
        self.targets = [
            Target(replace(plan_for(f"disk-{name}", on_quiesce_failure=on_failure), instance_id=name), here.world)
            for name, here in self.worlds.items()
        ]
        self._share_one_region()

    def _share_one_region(self) -> None:
        """One look finds what is there of all, as in the cloud."""
        clouds = [here.cloud for here in self.worlds.values()]
        for cloud in clouds:
            cloud.cuts = clouds[0].cuts

    def run(self) -> tuple[Outcome, ...]:
        return protect_together(self.targets)

    @property
    def epochs(self) -> list[int | None]:
        """Of every cut, whether its instance stood still."""
        return [cut.epoch for cut in self.worlds["ins-1"].cloud.cuts]

    @property
    def anything_held(self) -> bool:
        return any(here.instance.held or here.instance.is_prepared for here in self.worlds.values())


def order_of(outcomes: tuple[Outcome, ...], kind: type[facts.Fact]) -> list[str]:
    moments = [(e.at_s, o.plan.instance_id) for o in outcomes for e in o.entries if isinstance(e.fact, kind)]
    return [name for _, name in sorted(moments)]


def times_of(outcomes: tuple[Outcome, ...], kind: type[facts.Fact]) -> list[float]:
    return sorted(entry.at_s for outcome in outcomes for entry in outcome.entries if isinstance(entry.fact, kind))


def test_all_are_held_in_order_before_the_first_is_cut_and_let_go_in_reverse() -> None:
    here = Shards()
    outcomes = here.run()
    assert order_of(outcomes, facts.QuiesceAnswered) == list(MEMBERS)
    assert order_of(outcomes, facts.ReleaseAsked) == list(reversed(MEMBERS))
    assert times_of(outcomes, facts.QuiesceAnswered)[-1] < times_of(outcomes, facts.CreateSent)[0]
    assert times_of(outcomes, facts.Accepted)[-1] < times_of(outcomes, facts.ReleaseAsked)[0]
    assert {outcome.verdict.level for outcome in outcomes} == {Level.APPLICATION}
    assert not here.anything_held


def test_one_whose_release_is_not_answered_keeps_no_other_held() -> None:
    here = Shards()
    others = [here.worlds[name].instance for name in MEMBERS[:2]]
    all_others_let_go = threading.Event()

    def stays_silent(let_go: Release, request: holds.ReleaseRequest) -> holds.ReleaseAnswer:
        assert all_others_let_go.wait(10), "the others were kept waiting for this one's answer"
        return let_go(request)

    def lets_go(let_go: Release, request: holds.ReleaseRequest) -> holds.ReleaseAnswer:
        answer = let_go(request)
        if not any(other.held for other in others):
            all_others_let_go.set()
        return answer

    for one in (*others, here.worlds[MEMBERS[-1]].instance):
        how = lets_go if one in others else stays_silent
        one.release = partial(how, one.release)  # type: ignore[method-assign]
    assert {outcome.verdict.level for outcome in here.run()} == {Level.APPLICATION}
    assert not here.anything_held


def test_all_are_let_go_where_no_thread_is_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(session, "ThreadPoolExecutor", type("Pool", (ThreadPoolExecutor,), {"submit": refuses}))
    here = Shards()
    outcomes = here.run()
    assert order_of(outcomes, facts.ReleaseAsked) == list(reversed(MEMBERS))
    assert not here.anything_held


def test_an_interruption_while_one_is_let_go_keeps_no_other_held(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, timeout: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "wait", interrupted)
    here = Shards()
    with pytest.raises(KeyboardInterrupt):
        here.run()
    assert not here.anything_held


def test_everything_slow_is_over_before_the_first_is_held() -> None:
    outcomes = Shards().run()
    assert times_of(outcomes, facts.PrepareAnswered)[-1] < times_of(outcomes, facts.QuiesceAnswered)[0]


def test_the_label_of_all_is_application_and_says_how_far_apart_the_cuts_may_be() -> None:
    together = {outcome.together for outcome in Shards().run()}
    assert len(together) == 1
    one = together.pop()
    assert one is not None
    assert (one.members, one.level) == (MEMBERS, Level.APPLICATION)
    assert one.skew_s is not None and 0.3 <= one.skew_s < 1.0


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("fault", ["check before", "connect before", "prepare refused", "prepare after", "quiesce refused"])
def test_if_one_falls_out_all_let_go_and_nothing_is_created(member: str, fault: str) -> None:
    here = Shards()
    step, moment = fault.split()
    here.worlds[member].faults.at = {step: moment}
    outcomes = here.run()
    assert here.epochs == []
    assert not here.anything_held
    assert {outcome.together.level for outcome in outcomes if outcome.together} == {Level.NONE}
    for outcome in outcomes:
        if outcome.plan.instance_id != member:
            assert any(f"{member} fell out" in reason for reason in outcome.verdict.reasons)


def test_those_behind_one_that_cannot_be_held_are_not_held_either() -> None:
    here = Shards()
    here.worlds["ins-1"].faults.at = {"quiesce": "refused"}
    here.run()
    assert [world.instance.epoch for world in here.worlds.values()] == [0, 0, 0]


def test_a_hold_that_ended_early_takes_the_label_from_all() -> None:
    here = Shards()
    here.worlds["ins-2"].faults.at = {"create disk-ins-2": "hold_ends"}
    outcomes = here.run()
    levels = [outcome.verdict.level for outcome in outcomes]
    assert levels == [Level.APPLICATION, Level.CRASH, Level.APPLICATION]
    assert {outcome.together.level for outcome in outcomes if outcome.together} == {Level.CRASH}


FAULTS = st.dictionaries(
    st.sampled_from(["check", "connect", "prepare", "quiesce", "release"]),
    st.sampled_from(["before", "after", "refused"]),
    max_size=2,
)


@given(st.tuples(FAULTS, FAULTS, FAULTS), st.sampled_from(list(OnQuiesceFailure)))
def test_application_for_all_means_that_every_cut_fell_into_one_time_at_which_all_were_held(
    faults: tuple[dict[str, str], ...], on_failure: OnQuiesceFailure
) -> None:
    here = Shards(on_failure)
    for world, at in zip(here.worlds.values(), faults, strict=True):
        world.faults.at = at
    outcomes = here.run()
    for outcome in outcomes:
        if outcome.together and outcome.together.level is Level.APPLICATION:
            assert len(here.epochs) == len(MEMBERS) and None not in here.epochs
    confirmed = all(outcome.verdict.release_confirmed for outcome in outcomes)
    assert not (here.anything_held and confirmed)

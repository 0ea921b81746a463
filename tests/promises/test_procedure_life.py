"""The function's side of the promises: a run delivered any number of times, also at once, in a world that fails anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from quiesce.certificate import TAG_LEVEL, SigningKey, issue, recorded_level
from quiesce.course import Outcome
from quiesce.errors import CloudError
from quiesce.model import HoldUntil, Level, OnQuiesceFailure, TargetPlan
from quiesce.naming import PENDING
from quiesce.procedure import protect
from quiesce.report import Status, names_of, status_of, tags_of
from tests.function.fake_instance import PREPARED_S, Killed
from tests.function.fake_world import LIMITS, FakeWorld, plan_for

KEY = SigningKey("2026-11", b"a secret of the tests")
STEPS = {
    "check": ["before", "after"],
    "find": ["before"],
    "connect": ["before"],
    "prepare": ["before", "after", "refused"],
    "quiesce": ["before", "after", "refused"],
    "create group": ["before", "never_arrived", "after", "unavailable"],
    "create disk-a": ["before", "never_arrived", "after", "hold_ends"],
    "create disk-b": ["before", "never_arrived", "after"],
    "release": ["before", "after"],
    "label": ["before", "tagged only", "after"],
}
FAULTS = st.fixed_dictionaries({}, optional={step: st.sampled_from(moments) for step, moments in STEPS.items()})
MOMENTS = st.sampled_from([(step, moment) for step, moments in STEPS.items() for moment in moments if moment != "refused"])
"""When somebody else may act; the hook refuses or holds in one step, so not in the middle of that."""


class ProcedureLife(RuleBasedStateMachine):
    """Deliveries fail, are killed, come twice and at once. What the world knows is compared with what is said of it."""

    @initialize(
        disks=st.sampled_from([("disk-a",), ("disk-a", "disk-b")]),
        moment=st.sampled_from(list(HoldUntil)),
        on_failure=st.sampled_from(list(OnQuiesceFailure)),
        group=st.sampled_from([None, "group"]),
    )
    def begin(self, disks: tuple[str, ...], moment: HoldUntil, on_failure: OnQuiesceFailure, group: str | None) -> None:
        self.here = FakeWorld(disks=disks)
        self.here.recorded_level = partial(recorded_level, key=KEY)
        self.plan_of: Callable[[str], TargetPlan] = lambda run_id: plan_for(
            *disks, hold_until=moment, on_quiesce_failure=on_failure, run_id=run_id, group=group
        )
        self.without_a_hold = on_failure is OnQuiesceFailure.CRASH_CONSISTENT
        """Whether deliveries may create without a hold: nothing keeps two such from each other (docs/adr/0004)."""
        self.run = 1
        self.outcomes: list[Outcome] = []
        self.judged = 0
        self.unconfirmed = False
        """Whether some delivery of any run was killed or said that its release is not confirmed."""

    @rule(faults=FAULTS)
    def deliver(self, faults: dict[str, str]) -> None:
        self._deliver(faults)

    @rule(faults=FAULTS, at=MOMENTS)
    def deliver_twice_at_once(self, faults: dict[str, str], at: tuple[str, str]) -> None:
        """The second delivery comes, and ends, in the middle of a step of the first."""

        def second() -> None:
            instance = self.here.instance
            owed, instance.owes_a_release = instance.owes_a_release, False
            at_first, self.here.faults.at = self.here.faults.at, {}
            self._protect_and_label()
            instance.owes_a_release, self.here.faults.at = owed, at_first

        kept = {step for step in faults if not (self.without_a_hold and step in ("check", "prepare", "quiesce"))}
        self.here.faults.meanwhile = {at: second}
        self._deliver({step: faults[step] for step in kept})

    @rule(faults=FAULTS, at=MOMENTS)
    def deliver_to_a_function_that_is_killed(self, faults: dict[str, str], at: tuple[str, str]) -> None:
        self.here.faults.meanwhile = {at: lambda: setattr(self.here.faults, "killed", True)}
        try:
            self._deliver(faults)
        except Killed:
            self.unconfirmed = True
        self.here.faults.killed = False
        self.here.instance.owes_a_release = False

    @rule(looks=st.integers(1, 2))
    def the_cloud_lists_late(self, looks: int) -> None:
        self.here.cloud.hidden_looks = 0 if self.without_a_hold else looks

    @rule(seconds=st.floats(0.0, LIMITS.hold_limit_s))
    def time_passes(self, seconds: float) -> None:
        self.here.clock.sleep(seconds)

    @rule()
    def the_next_run_reaches_the_level(self) -> None:
        self.here.clock.sleep(max(LIMITS.hold_limit_s, PREPARED_S))
        self.run += 1
        self.here.cloud.hidden_looks = 0
        self._deliver({})
        assert status_of(self.outcomes[-1]) is Status.REACHED
        assert self.outcomes[-1].verdict.level is Level.APPLICATION

    @invariant()
    def what_was_held_is_let_go_or_said_to_be_unconfirmed(self) -> None:
        assert not self.here.instance.held or self.unconfirmed

    @invariant()
    def nothing_is_called_better_than_it_is(self) -> None:
        for outcome in self.outcomes[self.judged :]:
            assert outcome.verdict.level <= self._truth(set(outcome.verdict.snapshots.values()))
        self.judged = len(self.outcomes)

    @invariant()
    def no_label_is_better_than_the_truth_and_no_final_name_is_without_a_label(self) -> None:
        words = {level.word: level for level in Level}
        for run in range(1, self.run + 1):
            made = {c.snapshot.snapshot_id: c.snapshot for c in self.here.cloud.cuts if f"run-{run}-" in c.snapshot.name}
            for snapshot in made.values():
                member = "_" in snapshot.name
                assert member or snapshot.name.endswith(PENDING) or TAG_LEVEL in snapshot.tags
                assert words[snapshot.tags.get(TAG_LEVEL, "none")] <= self._truth(set(made))

    @invariant()
    def one_run_makes_one_set_or_nothing(self) -> None:
        for run in range(1, self.run + 1):
            made = Counter(c.snapshot.disk_id for c in self.here.cloud.cuts if f"run-{run}-" in c.snapshot.name)
            assert not [disk_id for disk_id, count in made.items() if count > 1]

    def _deliver(self, faults: dict[str, str]) -> None:
        self.here.faults.at = faults
        try:
            self._protect_and_label()
        finally:
            self.here.faults.at, self.here.faults.meanwhile = {}, {}

    def _protect_and_label(self) -> None:
        """What run.Run does with one target."""
        outcome = protect(self.plan_of(f"run-{self.run}"), self.here.world)
        self.outcomes.append(outcome)
        self.unconfirmed = self.unconfirmed or not outcome.verdict.release_confirmed
        names = names_of(outcome)
        if names:
            certificate = issue(outcome, KEY, "2026-11-23T02:00:00+00:00")
            try:
                self.here.cloud.label(names, tags_of(outcome, certificate, KEY))
            except CloudError:
                return

    def _truth(self, snapshot_ids: set[str]) -> Level:
        """Return the best that may be said of these snapshots."""
        cuts = [cut for cut in self.here.cloud.cuts if cut.snapshot.snapshot_id in snapshot_ids]
        epochs = {cut.epoch for cut in cuts}
        if {cut.snapshot.disk_id for cut in cuts} != set(self.here.disks):
            return Level.NONE
        if len(epochs) == 1 and None not in epochs:
            return Level.APPLICATION
        return Level.CRASH if len(cuts) == 1 else Level.UNKNOWN


TestProcedureLife = ProcedureLife.TestCase
TestProcedureLife.settings = settings(
    deadline=None, max_examples=60, stateful_step_count=10, suppress_health_check=[HealthCheck.too_slow]
)

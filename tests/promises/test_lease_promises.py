"""The daemon's side of the promises: holds of a real keeper, on an instance in memory, whatever comes in whatever order."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Optional

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from quiesced.messages import QuiesceAnswer, ReleaseAnswer
from tests.daemon.fakes import check, release
from tests.promises.lease_world import ACQUIRE_S, HOLD_S, LeaseWorld

LEASES = st.integers(0, 4)
NOT_OVER = {"busy", "run_moved_on"}
"""Refusals after which the same lease may ask again."""


class LeasePromises(RuleBasedStateMachine):
    """Requests come lost, twice and out of order; guardians, applications and daemons die. The promises stay."""

    def __init__(self) -> None:
        super().__init__()
        self._home = tempfile.TemporaryDirectory()
        self.here = LeaseWorld(Path(self._home.name))
        self.holding: Optional[str] = None
        self.acquiring: Optional[str] = None
        self.prepared: Optional[str] = None
        self.prepared_prior = 0
        self.prepared_until_s = 0.0
        self.limit_s = 0.0
        self.unbroken = True
        """Whether the hold that is in place has been one without a gap: what the world knows."""
        self.over: set[str] = set()
        """Leases that may never hold again."""
        self.told: dict[str, ReleaseAnswer] = {}

    def teardown(self) -> None:
        self.here.bury()
        assert self.here.instance.kernel.frozen == set()
        self._home.cleanup()

    @rule(number=LEASES, stale=st.booleans(), lost=st.booleans())
    def quiesce(self, number: int, stale: bool, lost: bool) -> None:
        if self.acquiring:
            return
        stale = stale and f"lease-{number}" != self.prepared  # what was prepared goes on with what it was prepared for
        lease_id, prior = self._question(number, stale)
        answer = self.here.ask(lease_id, _run_of(number), prior)
        if lease_id == self.prepared:
            assert answer.state == "held", "what was prepared, and is asked for in time, holds"
            self.prepared = None
        if not lost:
            self._was_told(lease_id, answer, stale)
        self._note(lease_id, answer)

    @precondition(lambda self: not self.acquiring)
    @rule(number=LEASES, stale=st.booleans())
    def prepare(self, number: int, stale: bool) -> None:
        stale = stale and f"lease-{number}" != self.prepared
        lease_id, prior = self._question(number, stale)
        answer = self.here.prepare(lease_id, _run_of(number), prior)
        if answer.state == "prepared" and lease_id != self.prepared:
            assert not self.holding and not self.prepared and lease_id not in self.over and not stale
            assert self.here.instance.kernel.frozen == set() and not self.here.instance.first.locked
            self.prepared, self.prepared_prior = lease_id, prior
            self.prepared_until_s = self.here.clock() + answer.hold_remaining_s
            return
        if answer.state == "refused":
            self._was_told(lease_id, answer, stale)
            self._note(lease_id, answer)

    @rule(number=LEASES)
    def begin_to_quiesce(self, number: int) -> None:
        lease_id, prior = self._question(number, False)
        if lease_id in (self.acquiring, self.prepared):
            return
        answer = self.here.begin_to_ask(lease_id, _run_of(number), prior)
        if answer:
            self._was_told(lease_id, answer, False)
            self._note(lease_id, answer)
            return
        assert lease_id not in self.over, "a lease that is over is acquired again"
        assert not self.holding and not self.acquiring, "two leases at a time"
        self.acquiring = lease_id

    @precondition(lambda self: self.acquiring and len(self.here.waiting) < 3)
    @rule()
    def the_same_quiesce_comes_again_while_it_is_acquired(self) -> None:
        assert self.acquiring
        number = int(self.acquiring[-1])
        self.here.join(self.acquiring, _run_of(number), 0)

    @precondition(lambda self: self.acquiring)
    @rule()
    def the_lock_is_granted(self) -> None:
        lease_id, self.acquiring = self.acquiring, None
        assert lease_id
        answers = self.here.grant()
        assert {answer.state for answer in answers} == {"held"}
        assert len({str(answer.witness) for answer in answers}) == 1, "one question, several answers"
        self._note(lease_id, answers[0])

    @precondition(lambda self: self.acquiring)
    @rule()
    def the_lock_is_not_granted_in_time(self) -> None:
        self.here.pass_time(ACQUIRE_S)
        self._expect_refusals("acquire_timeout")

    @rule(number=LEASES, lost=st.booleans())
    def release(self, number: int, lost: bool) -> None:
        lease_id = f"lease-{number}"
        answer = self.here.keeper.release(release(lease_id))
        if lease_id == self.acquiring:
            self._expect_refusals("cancelled")
        if lease_id == self.holding:
            in_time = self.here.clock() < self.limit_s
            assert answer.held_without_gap == (self.unbroken and in_time), answer.reason
            assert answer.state == ("released" if answer.held_without_gap else "expired")
            self.holding = None
        elif lease_id not in self.over:
            assert answer.state == "never_held"
        self.prepared = None if lease_id == self.prepared else self.prepared
        assert answer.held_without_gap or answer.reason
        assert lost or self.told.setdefault(lease_id, answer) == answer, "another answer than before"
        self.over.add(lease_id)

    @rule(seconds=st.floats(0.0, HOLD_S))
    def time_passes(self, seconds: float) -> None:
        if self.acquiring:
            seconds = min(seconds, 0.1)
        self.here.pass_time(seconds)
        if self.holding and self.here.clock() >= self.limit_s - 0.05:
            self._ended_by_itself()
        if self.prepared and self.here.clock() >= self.prepared_until_s:
            self._ended_by_itself()

    @precondition(lambda self: self.holding)
    @rule(guardian_was_quick=st.booleans())
    def the_daemon_hangs_past_the_limit_and_then_the_release_comes(self, guardian_was_quick: bool) -> None:
        assert self.holding
        self.here.clock.now_s = self.limit_s + 0.001
        if guardian_was_quick:
            assert self.here.instance.guardian.deadline_s <= self.here.clock()
            self.here.fire_guardian()
        self.unbroken = False
        self.release(int(self.holding[-1]), False)

    @precondition(lambda self: self.holding)
    @rule()
    def the_guardian_dies(self) -> None:
        self.here.instance.guardian.die()
        self._ended_by_itself()

    @precondition(lambda self: self.holding)
    @rule()
    def an_application_dies(self) -> None:
        self.here.instance.first.locked = False
        self.unbroken = False

    @precondition(lambda self: self.holding and self.unbroken)
    @rule(name=st.sampled_from(["disk-0", "disk-1"]))
    def somebody_thaws(self, name: str) -> None:
        self.here.instance.kernel.by_hand(name, frozen=False)
        self.unbroken = False

    @precondition(lambda self: not self.acquiring)
    @rule(with_guardian=st.booleans())
    def the_daemon_dies(self, with_guardian: bool) -> None:
        self.here.die(with_guardian=with_guardian)
        self._nothing_holds_any_more()

    @rule()
    def the_daemon_is_stopped(self) -> None:
        self.here.stop()
        if self.acquiring:
            self._expect_refusals("cancelled")
        self._nothing_holds_any_more()

    @invariant()
    def nothing_is_held_past_its_limit_or_without_a_guardian(self) -> None:
        if not self.holding:
            return
        assert self.here.clock() < self.limit_s
        assert self.here.instance.guardian.armed
        assert self.here.instance.guardian.deadline_s <= self.limit_s

    @invariant()
    def what_nobody_holds_is_as_it_was_before(self) -> None:
        assert self.holding or self.acquiring or self.prepared or self.here.instance.holds_nothing()

    @invariant()
    def nobody_waits_for_what_is_only_prepared(self) -> None:
        if self.prepared:
            assert not self.here.instance.kernel.frozen and not self.here.instance.first.locked

    def _question(self, number: int, stale: bool) -> tuple[str, int]:
        holds = self.here.keeper.check(check(run_id=_run_of(number))).holds_of_run
        prior = self.prepared_prior if f"lease-{number}" == self.prepared else holds
        return f"lease-{number}", prior + stale

    def _was_told(self, lease_id: str, answer: QuiesceAnswer, stale: bool) -> None:
        code = answer.refusal.code if answer.refusal else None
        assert code != "internal", "the instance noticed what may never be"
        if lease_id in self.over:
            assert code in ("lease_over", "released_before")
        elif lease_id == self.holding:
            assert answer.state == "held"
            assert 0 < answer.hold_remaining_s <= self.limit_s - self.here.clock()
        elif self.holding or self.acquiring or self.prepared:
            assert code in NOT_OVER
        else:
            assert code == ("run_moved_on" if stale else None)

    def _note(self, lease_id: str, answer: QuiesceAnswer) -> None:
        if answer.state == "held" and lease_id != self.holding:
            assert not self.holding and lease_id not in self.over
            assert self.here.instance.kernel.frozen == {"disk-0", "disk-1"}
            assert self.here.instance.first.locked and self.here.instance.second.locked
            self.holding, self.unbroken = lease_id, True
            self.limit_s = self.here.clock() + answer.hold_remaining_s
        elif answer.refusal and answer.refusal.code not in NOT_OVER:
            self.over.add(lease_id)

    def _expect_refusals(self, code: str) -> None:
        """The acquisition ended without a hold; who asked again may have come just before that or just after."""
        assert self.acquiring
        first, *again = [answer.refusal.code if answer.refusal else "" for answer in self.here.answers()]
        assert first == code
        assert set(again) <= {code, "busy", "lease_over"}
        self.over.add(self.acquiring)
        self.acquiring = None

    def _ended_by_itself(self) -> None:
        self.here.settle()
        self._nothing_holds_any_more()

    def _nothing_holds_any_more(self) -> None:
        """Whatever held is over, and nobody is ever told that it was one hold without a gap."""
        assert self.here.instance.holds_nothing()
        if self.prepared:
            self.over.add(self.prepared)
            assert self.here.keeper.release(release(self.prepared)).held_without_gap is False
            self.prepared = None
        if self.holding:
            self.over.add(self.holding)
            answer = self.here.keeper.release(release(self.holding))
            assert (answer.state, answer.held_without_gap) == ("expired", False)
            self.told[self.holding] = answer
            self.holding = None


def _run_of(number: int) -> str:
    return f"run-{number % 2}"


TestLeasePromises = LeasePromises.TestCase
TestLeasePromises.settings = settings(
    deadline=None, max_examples=60, stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow]
)

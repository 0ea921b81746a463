"""The rate limit as the cloud counts it: never more calls in a second than allowed, and no slower than that needs."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce.adapters.rate_limit import ENOUGH, LATE_AT_FIRST_S, LATE_S, LEAD_S, WINDOW_S, Paces, RateLimit, Sent
from tests.function.cbs_cloud import SteppedClock

PAUSES_S = st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0, 3.0])


@given(batches=st.lists(st.tuples(st.integers(1, 25), PAUSES_S, PAUSES_S, st.booleans()), max_size=20))
def test_no_window_ever_holds_more_calls_than_allowed(batches: list[tuple[int, float, float, bool]]) -> None:
    """However long a batch waits for its hold, and whether or not the hold is had."""
    clock = SteppedClock()
    limit = RateLimit(clock, count=20, window_s=1.0)
    sent_at: list[float] = []
    for count, waiting_s, pause_s, had in batches:
        permit = limit.take(count)
        clock.now_s += waiting_s
        if had:
            sent_at += [limit.used(permit).sent_s for _ in range(count)]
        else:
            limit.give_back(count)
        clock.now_s += pause_s

    for start in set(sent_at):
        in_window = sum(start <= moment < start + 0.999 for moment in sent_at)
        assert in_window <= max(20, *(count for count, *_ in batches))


def test_permits_within_the_limit_cost_no_time() -> None:
    clock = SteppedClock()
    RateLimit(clock, count=20).take(20)

    assert clock.slept == []


@given(st.lists(st.tuples(st.floats(0.0, 0.4), st.floats(0.0, 0.3), st.floats(0.0, 0.1)), min_size=ENOUGH, max_size=60))
def test_the_cloud_never_counts_one_too_many_however_late_calls_arrive(calls: list[tuple[float, float, float]]) -> None:
    """One after the other, each late by so much on its way, answered so much later than the quickest, and held so long."""
    clock, counted_at = SteppedClock(), list[float]()
    limit = RateLimit(clock, count=1)
    for late_s, answer_late_s, holding_s in [(0.0, 0.0, 0.1)] * ENOUGH + calls:
        permit = limit.take(1)
        clock.now_s += holding_s
        sent = limit.used(permit)
        counted_at.append(clock.now_s + late_s)
        clock.now_s += late_s + 0.3 + answer_late_s
        limit.answered(sent)

    assert all(later - earlier >= 0.999 for earlier, later in itertools.pairwise(counted_at))


def test_calls_that_are_answered_as_soon_as_the_quickest_come_as_close_as_the_limit_lets_them() -> None:
    clock, sent_at = SteppedClock(), list[float]()
    limit = RateLimit(clock, count=1)
    for _ in range(ENOUGH + 11):
        sent = limit.used(limit.take(1))
        sent_at.append(sent.sent_s)
        clock.now_s += 0.3
        limit.answered(sent)

    gaps = [later - earlier for earlier, later in itertools.pairwise(sent_at)]
    assert min(gaps[:ENOUGH]) >= WINDOW_S + LATE_AT_FIRST_S - 0.001, "nothing is known of the first"
    assert max(gaps[ENOUGH:]) <= WINDOW_S + 0.002


def test_the_first_reads_of_a_process_keep_their_distance_and_the_others_come_as_close_as_the_limit_lets_them() -> None:
    """While twenty workers start, a read came late and the next on time: the cloud refused, and one worker lost a second."""
    clock, sent_at = SteppedClock(), list[float]()
    paces = Paces(clock, 1)
    for _ in range(ENOUGH + 6):
        paces.wait("DescribeDisks")
        sent_at.append(clock.now_s)

    gaps = [later - earlier for earlier, later in itertools.pairwise(sent_at)]
    assert min(gaps[:ENOUGH]) >= WINDOW_S + LATE_AT_FIRST_S - 0.001
    assert max(gaps[ENOUGH:]) <= WINDOW_S + 0.002


def test_a_call_that_is_never_answered_counts_as_late() -> None:
    clock = SteppedClock()
    limit = RateLimit(clock, count=1)
    for answered in (*[True] * ENOUGH, False):
        sent = limit.used(limit.take(1))
        clock.now_s += 0.3
        if answered:
            limit.answered(sent)
    limit.take(1)

    assert clock.now_s - sent.sent_s >= WINDOW_S + LATE_S - 0.001


@pytest.mark.parametrize(("holding_s", "lead_s"), [(0.0, 0.0), (0.012, 0.012), (0.5, LEAD_S)])
def test_a_permit_is_given_as_much_before_it_is_free_as_the_quickest_hold_took(holding_s: float, lead_s: float) -> None:
    clock = SteppedClock()
    limit, sent_at = RateLimit(clock, count=1), list[float]()
    for _ in range(ENOUGH + 6):
        permit = limit.take(1)
        clock.now_s += holding_s
        sent = limit.used(permit)
        sent_at.append(sent.sent_s)
        clock.now_s += 0.3
        limit.answered(sent)

    assert sent_at[-1] - sent_at[-2] == pytest.approx(WINDOW_S + holding_s - lead_s, abs=0.0021)


def test_a_hold_that_is_had_sooner_than_any_before_waits_for_the_rest_and_the_next_permit_comes_later() -> None:
    clock = SteppedClock()
    limit, sent = RateLimit(clock, count=1), Sent(0.0, 0.0)
    for holding_s in (*[0.01] * (ENOUGH + 2), 0.004):
        permit = limit.take(1)
        clock.now_s += holding_s
        earlier, sent = sent, limit.used(permit)
        clock.now_s += 0.3
        limit.answered(sent)

    assert sent.sent_s == pytest.approx(earlier.counted_s + WINDOW_S)
    assert clock.slept[-1] == pytest.approx(0.006)
    assert limit.take(1).free_s - clock.now_s == pytest.approx(0.004, abs=0.0011)

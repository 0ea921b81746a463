"""An address that fails too often is shut out for a while; others are not, and the memory for them is bounded."""

from __future__ import annotations

import pytest

from quiesced.peers import MAX_FAILURES, SHUT_OUT_S, WINDOW_S, Peers


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fail(peers: Peers, address: str, times: int = MAX_FAILURES) -> None:
    for _ in range(times):
        peers.failed(address)


def test_too_many_failures_shut_an_address_out_for_a_while(clock: Clock) -> None:
    peers = Peers(clock)
    fail(peers, "10.0.0.1", MAX_FAILURES - 1)
    assert peers.shut_out_s("10.0.0.1") == 0
    fail(peers, "10.0.0.1", 1)
    assert peers.shut_out_s("10.0.0.1") == SHUT_OUT_S
    assert peers.shut_out_s("10.0.0.2") == 0
    clock.now_s += SHUT_OUT_S
    assert peers.shut_out_s("10.0.0.1") == 0


def test_more_failures_while_shut_out_do_not_prolong_it_and_the_next_window_counts_afresh(clock: Clock) -> None:
    peers = Peers(clock)
    fail(peers, "10.0.0.1", 3 * MAX_FAILURES)
    clock.now_s += SHUT_OUT_S + 1
    fail(peers, "10.0.0.1", 1)
    assert peers.shut_out_s("10.0.0.1") == 0
    fail(peers, "10.0.0.1", MAX_FAILURES - 1)
    assert peers.shut_out_s("10.0.0.1") == SHUT_OUT_S


def test_failures_spread_over_time_are_forgiven(clock: Clock) -> None:
    peers = Peers(clock)
    for _ in range(10):
        fail(peers, "10.0.0.1", MAX_FAILURES - 1)
        clock.now_s += WINDOW_S + 1
    assert peers.shut_out_s("10.0.0.1") == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("fd00::1", "fd00::ffff:2", True),
        ("fd00::1", "fd00:0:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("what", "what", True),
    ],
)
def test_an_address_counts_with_all_that_its_caller_has(clock: Clock, one: str, other: str, same: bool) -> None:
    peers = Peers(clock)
    fail(peers, one)
    assert (peers.shut_out_s(other) > 0) is same


def test_the_memory_is_bounded_and_forgets_who_failed_longest_ago(clock: Clock) -> None:
    peers = Peers(clock, max_peers=3)
    for number in range(4):
        fail(peers, f"10.0.0.{number}")
    assert [peers.shut_out_s(f"10.0.0.{number}") > 0 for number in range(4)] == [False, True, True, True]

"""The verdict: which restores pass, which do not, and that no race between processes can change it."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce_lab.ledger import Write, payload
from quiesce_lab.verifier import Restored, Verdict, Window, judge

WINDOW = Window(began=10.0, cut=11.0, ended=12.0)
EARLY, LATE = Write(1, 1, 8.0, 9.0), Write(1, 2, 13.0, 14.0)


def found(*keys: tuple[int, int]) -> Restored:
    return Restored(starts=True, rows={key: payload(*key) for key in keys})


def counts(verdict: Verdict) -> dict[str, int]:
    """The counts of what is wrong that are not 0."""
    names = ("lost", "from_after_the_hold", "gaps", "committed_during_the_call", "unaccounted", "altered")
    values = dataclasses.asdict(verdict)
    return {name: values[name] for name in names if values[name]}


@pytest.mark.parametrize(
    ("ledger", "restored", "wrong"),
    [
        pytest.param([EARLY, LATE], found((1, 1)), {}, id="all from before, nothing from after"),
        pytest.param([EARLY], found(), {"lost": 1}, id="acknowledged before the call and absent"),
        pytest.param([Write(1, 1, 9.0, None)], found(), {}, id="never acknowledged and absent"),
        pytest.param([Write(1, 1, 9.0, None)], found((1, 1)), {}, id="never acknowledged and present"),
        pytest.param([Write(1, 1, 9.0, 13.0)], found(), {}, id="under way during the call, absent"),
        pytest.param([Write(1, 1, 9.0, 13.0)], found((1, 1)), {}, id="under way during the call, present"),
        pytest.param([EARLY, LATE], found((1, 1), (1, 2)), {"from_after_the_hold": 1}, id="sent after the call"),
        pytest.param([Write(1, 1, 10.2, 10.4)], found(), {"lost": 1, "committed_during_the_call": 1}, id="before the cut"),
        pytest.param([Write(1, 1, 11.2, 11.4)], found(), {"committed_during_the_call": 1}, id="between cut and answer"),
        pytest.param([Write(1, 1, 11.2, None)], found((1, 1)), {"from_after_the_hold": 1}, id="sent inside, present"),
        pytest.param(
            [EARLY, Write(1, 2, 9.2, 12.5), Write(1, 3, 9.6, None)], found((1, 1), (1, 3)), {"gaps": 1}, id="a hole"
        ),
        pytest.param([EARLY, Write(1, 2, 9.2, None)], found((1, 1)), {}, id="the last one refused is no hole"),
        pytest.param(
            [EARLY, Write(1, 2, 9.1, None), Write(1, 3, 9.2, 9.3)], found((1, 1), (1, 3)), {}, id="a refused one is no hole"
        ),
        pytest.param([EARLY], found((1, 1), (2, 1)), {"unaccounted": 1}, id="a row that nobody sent"),
        pytest.param([EARLY], Restored(True, {(1, 1): b"?"}), {"altered": 1}, id="a row with another content"),
        pytest.param([EARLY, dataclasses.replace(EARLY, acked_at=None)], found(), {"lost": 1}, id="in the ledger twice"),
    ],
)
def test_each_row_counts_once_for_what_it_shows(ledger: list[Write], restored: Restored, wrong: dict[str, int]) -> None:
    verdict = judge(ledger, restored, WINDOW)
    assert counts(verdict) == wrong
    assert verdict.consistent == (not wrong)


def test_a_server_that_does_not_start_is_a_verdict() -> None:
    verdict = judge([], Restored(starts=False, error_log=("InnoDB: no",)), WINDOW)
    assert not verdict.intact
    assert verdict.error_log == ("InnoDB: no",)


def test_damage_that_the_engine_reports_spoils_the_verdict() -> None:
    verdict = judge([EARLY], dataclasses.replace(found((1, 1)), damage=("index is corrupt",)), WINDOW)
    assert counts(verdict) == {}
    assert not verdict.intact


def test_examples_name_the_rows() -> None:
    assert judge([EARLY], found((2, 1)), WINDOW).examples == ("lost 1:1", "unaccounted 2:1")


def test_the_window_of_several_disks_spans_first_arrival_to_last_answer() -> None:
    assert Window.around([(2.0, 2.5, 3.0), (1.0, 2.2, 2.4)]) == Window(1.0, 2.2, 3.0)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Write, float]]:
    """What writers did, each one write after the other: the write, and when the server really committed it."""
    steps = st.floats(0.001, 2.0, allow_nan=False)
    history = []
    for writer in range(1, draw(st.integers(1, 3)) + 1):
        now = draw(st.floats(0.0, 5.0))
        for seq in range(1, draw(st.integers(0, 12)) + 1):
            sent_at = now + draw(steps)
            committed_at = sent_at + draw(steps)
            now = committed_at + draw(steps)
            acked_at = now if draw(st.integers(0, 9)) else None
            history.append((Write(writer, seq, sent_at, acked_at), committed_at))
    return history


def cut_at(history: list[tuple[Write, float]], moment: float) -> Restored:
    return found(*(write.key for write, committed_at in history if committed_at <= moment))


@given(histories(), st.floats(0.0, 30.0), st.floats(0.0, 5.0), st.floats(0.0, 5.0))
def test_a_point_in_time_of_a_server_that_keeps_its_word_is_intact(
    history: list[tuple[Write, float]], moment: float, before: float, after: float
) -> None:
    window = Window(moment - before, moment, moment + after)
    assert judge([write for write, _ in history], cut_at(history, moment), window).intact


@given(histories(), st.floats(0.0, 30.0), st.floats(0.0, 5.0), st.data())
def test_a_row_lost_from_before_the_cut_is_always_seen(
    history: list[tuple[Write, float]], moment: float, before: float, data: st.DataObject
) -> None:
    restored = cut_at(history, moment)
    acked = sorted(write.key for write, _ in history if write.acked_at is not None and write.acked_at < moment)
    if not acked:
        return
    gone = data.draw(st.sampled_from(acked))
    rows = {key: content for key, content in restored.rows.items() if key != gone}
    verdict = judge([write for write, _ in history], Restored(True, rows), Window(moment - before, moment, moment + 1))
    assert verdict.lost == 1
    assert not verdict.intact


@given(histories(), st.floats(0.0, 30.0), st.floats(0.0, 5.0))
def test_a_cut_after_the_hold_is_seen_as_soon_as_it_holds_a_newer_row(
    history: list[tuple[Write, float]], moment: float, late: float
) -> None:
    restored = cut_at(history, moment + late)
    newer = {write.key for write, _ in history if write.sent_at > moment} & set(restored.rows)
    verdict = judge([write for write, _ in history], restored, Window(moment, moment, moment))
    assert verdict.from_after_the_hold == len(newer)

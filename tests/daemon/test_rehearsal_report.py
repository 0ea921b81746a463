"""When a rehearsal is called safe, and how that is written."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Optional

import pytest

from quiesced.messages import CheckAnswer, Filesystem, Step
from quiesced.rehearsal import pages
from quiesced.rehearsal.answers import check_answer
from quiesced.rehearsal.report import (
    GUARDIAN,
    Held,
    Killed,
    Report,
    Stalled,
    Thawed,
    against_hold,
    against_kill,
    reason,
)

CHECK = CheckAnswer(True, (), (), (Filesystem("/data", "disk-1", "ext4"),), 0)
HELD = Held(0.5, True, (Step("freeze", 0.01),), (Stalled("/data", 0.51, 0.001),))
KILLED = Killed((Thawed("/data", 0.004),), 0.012, GUARDIAN)
REPORT = Report("0.1.0", "2026-11-26T12:00:00+00:00", "the service", ("disk-1",), CHECK, HELD, KILLED)


def test_a_hold_and_a_kill_without_a_reason_against_them_are_safe() -> None:
    assert (REPORT.safe, REPORT.verdict) == (True, "safe to enable")


@pytest.mark.parametrize("lacking", [{"held": None}, {"killed": None}, {"reasons": (reason("gap", "thawed by hand"),)}])
def test_nothing_is_safe_that_was_not_seen_through(lacking: dict[str, object]) -> None:
    assert not replace(REPORT, **lacking).safe  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("held", "codes"),
    [
        (HELD, []),
        (replace(HELD, without_gap=False), ["gap"]),
        (replace(HELD, stalls=(Stalled("/data", 3.6, 0.001),)), ["stalled_too_long"]),
    ],
)
def test_a_gap_or_a_long_stall_speaks_against_a_hold(held: Held, codes: list[str]) -> None:
    assert [one.code for one in against_hold(held, "thawed by hand", 3.5)] == codes


@pytest.mark.parametrize(
    ("thaw_s", "remaining", "codes"),
    [
        (0.004, (), []),
        (1.5, (), ["slow_thaw"]),
        (None, (), ["stays_frozen"]),
        (0.004, ("orders: session 7 has not ended",), ["still_held"]),
    ],
)
def test_whatever_is_held_after_a_kill_speaks_against_it(
    thaw_s: Optional[float], remaining: tuple[str, ...], codes: list[str]
) -> None:
    killed = Killed((Thawed("/data", thaw_s),), None if remaining else 0.01, GUARDIAN)
    assert [one.code for one in against_kill(killed, remaining)] == codes


def test_the_text_begins_with_the_verdict_and_gives_each_reason_with_what_to_do() -> None:
    text = pages.text(replace(REPORT, reasons=(reason("blocked", "orders: a statement runs"), reason("odd", "?"))))
    assert text.startswith("not safe ")
    assert "blocked: orders: a statement runs\n          do: wait for what stands in the way" in text
    assert "do: hooks/PROTOCOL.md" in text


def test_the_text_has_the_measured_stall_and_thaw() -> None:
    text = pages.text(REPORT)
    assert "510.0 ms for the slowest write" in text and "4.0 ms after the holder was killed" in text


def test_a_filesystem_that_stays_frozen_is_not_hidden_behind_one_that_thawed() -> None:
    killed = Killed((Thawed("/data", 0.004), Thawed("/log", None)), None, GUARDIAN)
    assert killed.thaw_s is None
    assert "NOT THAWED" in pages.text(replace(REPORT, killed=killed))


def test_the_page_escapes_what_others_wrote() -> None:
    assert "<script>" not in pages.html(replace(REPORT, reasons=(reason("gap", "<script>"),)))


def test_the_json_says_all_that_the_text_says() -> None:
    read = json.loads(pages.json_text(REPORT))
    assert (read["verdict"], read["safe"]) == ("safe to enable", True)
    assert read["killed"]["thaws"] == [{"mount_point": "/data", "thaw_s": 0.004}]
    assert check_answer(read["check"]) == CHECK

"""Retention against a plain model, over random histories; and what must stay, stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from quiesce.model import Level
from quiesce.retention import PENDING_FOR, Point, Rules, decide

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=timezone.utc)
MINUTES_OF_TWO_YEARS = 2 * 365 * 24 * 60


@st.composite
def histories(draw: st.DrawFn) -> list[Point]:
    """Runs of up to three instances with up to three disks each, at random times, of random levels and fates."""
    points = []
    for run in range(draw(st.integers(0, 25))):
        at = NOW - timedelta(minutes=draw(st.integers(0, MINUTES_OF_TWO_YEARS)))
        instance = draw(st.integers(1, 3))
        level = draw(st.sampled_from(list(Level)))
        pending, complete = draw(st.booleans()) and draw(st.booleans()), draw(st.integers(0, 9)) > 0
        bound = draw(st.sampled_from(["", "", "", "", "shared", "being copied", "bound to an image"]))
        missing = draw(st.sampled_from([0, 0, 0, 0, 1]))
        for disk in range(draw(st.integers(1, 3))):
            created = at + timedelta(seconds=disk)
            disk_id = f"disk-{instance}{disk}"
            points.append(
                Point(
                    snapshot_id=f"snap-{run}-{disk}",
                    disk_id=disk_id,
                    run_id=f"run-{run}",
                    instance_id=f"ins-{instance}",
                    created_at=created,
                    level=level,
                    pending=pending,
                    complete=complete,
                    bound=bound,
                    missing=missing,
                )
            )
            bound = ""
    return draw(st.permutations(points))


RULES = st.builds(Rules, *[st.integers(0, 4) for _ in range(6)])
PERIODS: dict[str, Callable[[datetime], str]] = {
    "hourly": lambda at: at.strftime("%Y-%m-%d %H"),
    "daily": lambda at: at.strftime("%Y-%m-%d"),
    "weekly": lambda at: at.strftime("%G-%V"),
    "monthly": lambda at: at.strftime("%Y-%m"),
    "yearly": lambda at: at.strftime("%Y"),
}


def restores(p: Point) -> bool:
    return p.level is Level.APPLICATION and p.complete and not p.pending and not p.missing


def plain_model(points: list[Point], rules: Rules) -> set[str]:  # noqa: C901 - in one piece, to be read beside the rules
    """Ids that are kept, worked out as a person with a list and a pencil would."""
    kept: set[str] = set()
    sets: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        sets.setdefault((point.instance_id, point.run_id), []).append(point)
    when = {key: max(point.created_at for point in one) for key, one in sets.items()}
    order = sorted(sets, key=lambda key: (when[key], key[1]), reverse=True)
    for key in order:
        one = sets[key]
        young = any((p.pending or p.missing) and NOW - p.created_at < PENDING_FOR for p in one)
        if young or any(p.bound or not p.complete for p in one):
            kept |= {p.snapshot_id for p in one}
    for disk in {p.disk_id for p in points}:
        for key in order:
            if any(p.disk_id == disk and restores(p) for p in sets[key]):
                kept |= {p.snapshot_id for p in sets[key]}
                break
    if rules == Rules():
        return {p.snapshot_id for p in points}
    for instance in {p.instance_id for p in points}:
        mine = [k for k in order if k[0] == instance]
        good = [k for k in mine if all(p.level > Level.NONE and not p.pending and not p.missing for p in sets[k])]
        chosen = good[: rules.last]
        for word, name_of in PERIODS.items():
            first: dict[str, tuple[str, str]] = {}
            for key in good:
                first.setdefault(name_of(when[key]), key)
            chosen += list(first.values())[: getattr(rules, word)]
        kept |= {p.snapshot_id for key in chosen for p in sets[key]}
    return kept


@settings(max_examples=400)
@given(histories(), RULES)
def test_what_is_kept_is_what_a_plain_model_keeps(points: list[Point], rules: Rules) -> None:
    decisions = decide(points, rules, NOW)
    kept = {point.snapshot_id for decision in decisions if decision.keep for point in decision.points}
    assert kept == plain_model(points, rules)


@settings(max_examples=400)
@given(histories(), RULES)
def test_what_must_stay_is_never_deleted(points: list[Point], rules: Rules) -> None:
    gone = {p.snapshot_id for decision in decide(points, rules, NOW) if not decision.keep for p in decision.points}
    for point in points:
        if point.bound or not point.complete:
            assert point.snapshot_id not in gone
    for disk in {p.disk_id for p in points}:
        usable = [p for p in points if p.disk_id == disk and restores(p)]
        if usable:
            assert max(usable, key=lambda p: (p.created_at, p.run_id)).snapshot_id not in gone


@given(histories(), RULES)
def test_every_point_is_decided_once_and_pruning_again_changes_nothing(points: list[Point], rules: Rules) -> None:
    decisions = decide(points, rules, NOW)
    assert sorted(p.snapshot_id for d in decisions for p in d.points) == sorted(p.snapshot_id for p in points)
    left = [p for d in decisions if d.keep for p in d.points]
    assert all(decision.keep for decision in decide(left, rules, NOW))


def point(days: float, **changes: object) -> Point:
    made = Point(f"snap-{days}", "disk-1", f"run-{days}", "ins-1", NOW - timedelta(days=days), Level.APPLICATION)
    return replace(made, **changes)


def test_a_set_is_kept_or_deleted_as_a_whole() -> None:
    data, log = point(3), point(3, snapshot_id="snap-log", disk_id="disk-2", bound="shared")
    decisions = decide([point(1), data, log], Rules(last=1), NOW)
    assert [decision.keep for decision in decisions] == [True, True]


def test_without_any_rule_nothing_goes() -> None:
    assert all(decision.keep for decision in decide([point(n) for n in range(50)], Rules(), NOW))


def test_weaker_points_do_not_push_the_last_application_consistent_one_out() -> None:
    weaker = [point(n, level=Level.CRASH) for n in range(1, 9)]
    decisions = decide([*weaker, point(30)], Rules(last=3), NOW)
    kept = [decision for decision in decisions if decision.keep]
    assert [d.level for d in kept] == [Level.CRASH] * 3 + [Level.APPLICATION]
    assert kept[-1].reasons == ("the newest application-consistent point of disk-1",)


@pytest.mark.parametrize(("age", "kept"), [(0.5, True), (1.5, False)])
def test_a_point_whose_level_is_not_known_stays_for_a_day(age: float, kept: bool) -> None:
    decisions = decide([point(0.1), point(age, pending=True)], Rules(last=1), NOW)
    assert decisions[-1].keep is kept


def test_reasons_are_in_words() -> None:
    decisions = decide([point(0), point(1), point(40)], Rules(last=1, daily=2, monthly=2), NOW)
    assert [decision.reasons for decision in decisions] == [
        ("the newest application-consistent point of disk-1", "last 1 of 1", "daily 1 of 2", "monthly 1 of 2"),
        ("daily 2 of 2",),
        ("monthly 2 of 2",),
    ]

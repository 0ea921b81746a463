"""The report: it says what it was given, whatever that is, and loads nothing."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quiesce import reporting
from quiesce.html_report import render
from quiesce.html_report.model import Application, Content, Disk, Period, Span, Stalls, Timeline, Trouble
from tests.function.html_seen import Page
from tests.function.report_records import NOW, POLICIES, History, disk, instance, rows

MIB = 1024 * 1024


def content(instances: int = 3, days: int = 30, **changes: object) -> Content:
    made = reporting.content(History(instances, days), POLICIES, rows(instances, well=False), NOW, days, "ap-guangzhou")
    return msgspec.structs.replace(made, **changes)


@pytest.fixture(scope="module")
def usual() -> Content:
    return content(12)


def test_it_loads_nothing_and_runs_nothing(usual: Content) -> None:
    text = render.page(usual)
    page = Page(text)
    assert {load for load in page.loads if not load.startswith("#")} == {"data:,"}
    assert {load[1:] for load in page.loads if load.startswith("#")} <= set(page.ids), "a link inside that leads nowhere"
    assert {"script", "iframe", "object", "embed", "img", "form", "base"} & set(page.tags) == set()
    assert page.handlers == []
    assert "@import" not in text
    assert set(re.findall(r"url\(([^)]*)\)", text)) == {"#hatch"}
    assert "default-src 'none'" in text


def test_every_disk_is_there_with_its_finding_and_those_that_are_not_well_come_first(usual: Content) -> None:
    said = Page(render.page(usual)).text
    places = [said.index(one.disk_id) for one in usual.disks]
    assert len(places) == 12
    late = next(one for one in usual.disks if one.finding == "late")
    uncovered = next(one for one in usual.disks if one.finding == "uncovered")
    assert (
        said.index(uncovered.disk_id)
        < said.index(late.disk_id)
        < min(said.index(one.disk_id) for one in usual.disks if one.finding == "covered")
    )
    assert late.age_hours == pytest.approx(78)
    assert "3.2 days" in said, "an age of two days and more is told in days"


@pytest.mark.parametrize(("held_ms", "hatched"), [(1_999.0, 0), (2_000.0, 0), (2_620.0, 1)])
def test_what_is_beyond_the_budget_is_hatched_and_said_in_words_and_nothing_else_is(held_ms: float, hatched: int) -> None:
    one = timeline(held_ms, limit_ms=2_000.0)
    page = Page(render.page(content(timelines=(one,), stalls=())))
    in_the_legend = 1
    # Of a hold that is too long: its gauge, the bar of the hold, and the call that was still waited for.
    assert page.classes.count("beyond") == in_the_legend + 3 * hatched
    assert page.text.count("beyond the budget") == hatched + page.text.count("what is hatched is beyond the budget")


def timeline(held_ms: float, limit_ms: float | None) -> Timeline:
    spans = (
        Span(kind="prepare", begins_ms=0, ends_ms=90),
        Span(kind="lock", begins_ms=100, ends_ms=110),
        Span(kind="create", begins_ms=111, ends_ms=100 + held_ms, subject="disk-a"),
    )
    return Timeline(
        at=NOW,
        run_id="r-1",
        policy="hourly",
        instance_id="ins-1",
        status="reached",
        level="application",
        level_asked="application",
        held_ms=held_ms,
        hold_limit_ms=limit_ms,
        hold_ms=(100.0, 100.0 + held_ms),
        spans=spans,
    )


def test_a_hold_whose_policy_is_no_more_has_no_budget_to_be_measured_by() -> None:
    page = Page(render.page(content(timelines=(timeline(500.0, None),), stalls=())))
    assert "the budget is not known" in page.text
    assert page.classes.count("beyond") == 1, "the legend's"


def test_writers_are_said_to_wait_from_the_first_lock_on_and_not_before() -> None:
    page = Page(render.page(content(timelines=(timeline(500.0, 2_000.0),), stalls=())))
    assert page.classes.count("nobody") == 1 + 1, "the legend's, and the preparation"
    assert page.classes.count("writers") == 1 + 4, "the legend's, the gauge, the hold, the lock and the call"


def test_a_failure_is_there_with_its_reason_once_however_often_it_happened(usual: Content) -> None:
    said = Page(render.page(usual)).text
    often = max(usual.troubles, key=lambda one: one.times)
    assert often.times > 1
    assert said.index("Failures and weaker sets") < said.index(often.reason)
    times = [one.newest for one in usual.troubles]
    assert times == sorted(times, key=lambda at: at or NOW - timedelta(days=999), reverse=True)


def test_an_unconfirmed_release_is_said_before_anything_else() -> None:
    trouble = msgspec.structs.replace(content().troubles[0], release_confirmed=False, reason="busy", status="weaker")
    said = Page(render.page(content(troubles=(trouble,)))).text
    assert "the release could not be confirmed: look at the instance; busy" in said


def test_a_year_of_hourly_runs_on_two_hundred_disks_is_less_than_two_megabytes() -> None:
    """The page grows with instances and periods alone, so a run a day makes as much of it as a run an hour."""
    made = reporting.content(History(200, 365, timedelta(days=1)), POLICIES, rows(200, well=False), NOW, 365)
    assert len(made.stalls) == 200
    assert all(len(one.periods) >= 52 for one in made.stalls)
    assert len(render.page(made).encode()) < 2 * MIB


def test_what_is_too_much_for_a_page_is_left_out_and_said() -> None:
    made = content(1, 2)
    many = tuple(msgspec.structs.replace(made.disks[0], disk_id=f"disk-{n:08x}") for n in range(render.MAX_DISKS + 7))
    trouble = full_of("ins-1").troubles[0]
    troubles = tuple(msgspec.structs.replace(trouble, reason=f"because {n}") for n in range(300))
    stalls = made.stalls * (render.MAX_HISTORIES + 3)
    text = render.page(msgspec.structs.replace(made, disks=many, troubles=troubles, stalls=stalls))
    assert "7 more disks are not listed" in text
    assert "3 more instances are not drawn" in text
    assert "100 older kinds of failure are not listed" in text
    assert len(text.encode()) < 5 * MIB, "an answer of the function has at most 6 MB"


def test_nothing_at_all_is_a_report_too() -> None:
    made = content(disks=(), timelines=(), stalls=(), troubles=(), records=0, notes=("no history",))
    said = Page(render.page(made)).text
    assert "There is no attached disk" in said
    assert "There is none in this time" in said
    assert "no history" in said


HOSTILE = st.one_of(
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "\"><img src=x onerror='alert(1)'>",
            "</style><script>",
            "{{ 7 * 7 }}{% raw %}",
            "</details></section><!-- ",
            "%(name)s {value} {0.__class__}",
            "javascript:alert(1)",
            "&lt;b&gt; &amp;amp;",
        ]
    ),
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\x00"), min_size=1, max_size=40),
)


def full_of(text: str) -> Content:
    """A report in which every text that comes from outside is this one."""
    trouble = Trouble(
        newest=NOW,
        oldest=NOW,
        times=2,
        run_id=text,
        policy=text,
        instance_id=text,
        status=text,
        level=text,
        level_asked=text,
        release_confirmed=True,
        reason=text,
    )
    run = msgspec.structs.replace(
        timeline(900.0, 500.0), run_id=text, policy=text, instance_id=text, status=text, level=text, level_asked=text
    )
    run = msgspec.structs.replace(run, spans=(*run.spans, Span(kind=text, begins_ms=1, ends_ms=2, subject=text)))
    period = Period(begins=NOW.date(), holds=1, p50_ms=1, p95_ms=2, max_ms=3)
    stalls = Stalls(
        instance_id=text,
        policy=text,
        hold_limit_ms=2,
        holds=1,
        beyond=1,
        p50_ms=1,
        p95_ms=2,
        max_ms=3,
        periods=(period,),
        applications=(Application(name=text, peak_writers=1, writer_s=1),),
    )
    one = Disk(
        finding="late",
        instance_id=text,
        disk_id=text,
        policies=(text, text),
        objective_hours=1,
        age_hours=None,
        newest={text: NOW, "crash": NOW},
    )
    return Content(
        made_at=NOW,
        days=30,
        days_per_period=1,
        region=text,
        disks=(one,),
        timelines=(run,),
        stalls=(stalls,),
        troubles=(trouble,),
        records=1,
        notes=(text,),
    )


HARMLESS = Page(render.page(full_of("harmless")))


@given(HOSTILE)
@settings(max_examples=150, deadline=None)
def test_no_text_from_outside_becomes_markup(text: str) -> None:
    page = Page(render.page(full_of(text)))
    assert page.tags == HARMLESS.tags
    assert page.loads == HARMLESS.loads
    assert page.handlers == []
    assert page.text.count(text) >= 12, "and it is shown as it is"


def test_ids_of_the_generator_are_of_the_clouds_form() -> None:
    assert re.fullmatch(r"ins-[a-z0-9]{8}", instance(7))
    assert re.fullmatch(r"disk-[a-z0-9]{8}", disk(7))

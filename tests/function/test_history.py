"""What runs left behind is read back as what it was, from records and log lines that the function itself wrote."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce import reporting
from quiesce.adapters.logs import flat
from quiesce.certificate import SigningKey, issue
from quiesce.course import Outcome
from quiesce.history.added_up import BEYOND, LATEST, AddedUp, percentile
from quiesce.history.lines import Line, Record, line_of, record_of
from quiesce.history.sources import FileSource
from quiesce.history.timeline import timeline_of
from quiesce.model import HoldUntil
from quiesce.procedure import protect
from quiesce.recording import summary
from quiesce.report import Report, TargetReport, body_of, status_of
from quiesce.steps import steps_of
from tests.function.fake_instance import Faults
from tests.function.fake_world import FakeWorld, plan_for
from tests.function.report_records import NOW, POLICIES, History, rows, steps

KEY = SigningKey("k", b"a secret of the tests")
IDS = {"run_id": "run-1", "policy": "nightly", "trigger": "timer"}


def as_written(outcome: Outcome) -> tuple[str, str, list[str]]:
    """Run record, target's log line, and the steps, as one delivery of the function leaves them in CLS."""
    certificate = issue(outcome, KEY, NOW.isoformat(timespec="milliseconds"))
    target = TargetReport(outcome.plan.instance_id, status_of(outcome), certificate)
    record = {**IDS, **summary(target), "record": body_of(Report("run-1", "nightly", (target,)))}
    line = {"step": "target", "outcome": target.status.value, **IDS, **summary(target)}
    of_cls = {key: value if isinstance(value, str) else json.dumps(value) for key, value in flat(record).items()}
    lines = [json.dumps(flat(step)) for step in steps_of(outcome.plan, outcome.entries)]
    return json.dumps(of_cls), json.dumps(flat(line)), lines


def read(text: str) -> Record:
    record = record_of(line_of(text))
    assert record is not None
    return record


def test_a_run_record_and_its_log_line_say_the_same() -> None:
    record_text, line_text, _ = as_written(protect(plan_for(), FakeWorld().world))
    record, line = read(record_text), read(line_text)
    assert (record.status, record.level, record.level_asked) == ("reached", "application", "application")
    assert record.held_ms is not None
    assert record.held_ms > 0
    assert record.at == NOW
    assert (line.run_id, line.instance_id, line.held_ms) == ("run-1", "ins-1", record.held_ms)
    added_up = AddedUp(NOW, 30, {})
    for one in (record, line, record):
        added_up.add(one)
    assert added_up.records == 1, "of one delivery there is one"


@pytest.mark.parametrize("hold_until", [HoldUntil.ACCEPTED, HoldUntil.LISTED])
def test_the_steps_of_a_run_are_laid_out_in_their_order(hold_until: HoldUntil) -> None:
    plan = plan_for("disk-a", "disk-b", hold_until=hold_until)
    record_text, _, lines = as_written(protect(plan, FakeWorld(disks=("disk-a", "disk-b")).world))
    one = timeline_of(read(record_text), 10_000, map(line_of, lines))
    kinds = [span.kind for span in one.spans]
    assert kinds.count("create") == 2
    assert ("until" in kinds) == (hold_until is HoldUntil.LISTED)
    assert kinds[0] == "prepare"
    assert one.hold_ms is not None
    begins_ms, ends_ms = one.hold_ms
    assert all(begins_ms <= span.begins_ms <= span.ends_ms <= ends_ms for span in one.spans if span.kind == "create")
    assert all(span.ends_ms <= begins_ms for span in one.spans if span.kind == "prepare")
    assert one.beyond_ms is None


def test_every_duration_of_the_instance_gets_its_place_in_the_timeline() -> None:
    record = next(History(1, 1).records())
    one = timeline_of(record, 10_000, [Line(None, step) for step in steps(record)])
    length_ms = {span.kind: round(span.ends_ms - span.begins_ms, 1) for span in one.spans}
    assert (
        length_ms.items()
        >= {"preflush": 1203.4, "arm": 61.2, "lock": 3.9, "freeze": 9.4, "thaw": 4.3, "unlock": 2.7}.items()
    )
    assert one.hold_ms is not None
    assert one.hold_ms[0] == pytest.approx(1640 - 3.9 - 9.4 - 1.2)
    assert length_ms["turn"] == pytest.approx(305.5)


def test_a_hold_that_was_too_long_says_when_its_budget_was_used_up() -> None:
    record = msgspec.structs.replace(timeline_of(next(History(1, 1).records()), None, []), held_ms=900.0)
    assert record.beyond_ms is None, "of a run whose steps are not known, nobody can tell"
    laid = msgspec.structs.replace(record, hold_ms=(50.0, 960.0), hold_limit_ms=800.0)
    assert laid.beyond_ms == 850.0
    assert msgspec.structs.replace(laid, held_ms=800.0).beyond_ms is None


def test_of_two_deliveries_the_one_that_held_is_shown() -> None:
    record = next(History(1, 1).records())
    held = [Line(None, {**step, "request_id": "a"}) for step in steps(record)]
    found = [Line(None, {**held[0].fields, "request_id": "b", "step": "adopt", "since_start_ms": n}) for n in range(40)]
    one, alone = timeline_of(record, 10_000, [*found, *held]), timeline_of(record, 10_000, held)
    assert one == alone
    assert one.spans


def test_a_refusal_has_a_status_a_reason_and_no_hold() -> None:
    record_text, _, lines = as_written(protect(plan_for(), FakeWorld(faults=Faults({"quiesce": "refused"})).world))
    record = read(record_text)
    assert record.status == "failed"
    assert record.reason
    assert timeline_of(record, 10_000, map(line_of, lines)).hold_ms is None


def test_a_line_is_read_from_scfs_own_and_from_a_result_of_a_search() -> None:
    inner = json.dumps(History(1, 1).fields(1, 0, NOW))
    wrapped = json.dumps({"SCF_Message": inner, "SCF_RequestId": "r"})
    found = json.dumps({"Time": 1_795_399_200_123, "LogJson": wrapped})
    assert read(wrapped).instance_id == read(inner).instance_id
    assert line_of(found).at == datetime.fromtimestamp(1_795_399_200.123, timezone.utc)
    assert read(found).run_id == read(inner).run_id


def test_a_timers_run_without_any_other_time_has_the_one_in_its_id() -> None:
    assert read(json.dumps({**History(1, 1).fields(1, 0, NOW), "run_id": "20261126t0300-0123456789"})).at == datetime(
        2026, 11, 26, 3, 0, tzinfo=timezone.utc
    )


@pytest.mark.parametrize("text", ["", "[]", "{", '{"step": "target", "level": "crash"}', '{"record": "{", "run_id": "r"}'])
def test_what_cannot_be_read_is_counted_and_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text("\n".join([*History(2, 1).texts(), text or "?", ""]))
    source = FileSource(file)
    made = reporting.content(source, POLICIES, rows(2), NOW, 30)
    assert made.records == 48
    assert made.notes == ("1 lines of runs.jsonl could not be read, and are not in this report.",)


def test_a_file_gives_the_same_report_as_its_records_one_by_one(tmp_path: Path) -> None:
    file, history = tmp_path / "runs.jsonl", History(2, 5)
    file.write_text("\n".join(history.texts()))
    of_file, direct = (reporting.content(source, POLICIES, rows(2), NOW, 30) for source in (FileSource(file), history))
    assert of_file.troubles == direct.troubles
    assert of_file.timelines == direct.timelines
    # The run records of the file say what each application's writers waited; the log lines do not.
    (application,) = of_file.stalls[0].applications
    assert (application.name, application.peak_writers) == ("orders", 7)
    assert application.writer_s == pytest.approx(0.8 * of_file.stalls[0].holds)
    assert [msgspec.structs.replace(one, applications=()) for one in of_file.stalls] == list(direct.stalls)


@given(st.dictionaries(st.sampled_from(["record", "step", "level", "run_id", "instance_id", "held_ms", "x"]), st.text()))
def test_no_line_makes_reading_fail_in_an_unforeseen_way(fields: dict[str, Any]) -> None:
    try:
        record = record_of(line_of(json.dumps(fields)))
    except ValueError:
        return
    assert record is None or (record.run_id and (record.held_ms is None or record.held_ms >= 0))


@given(st.binary(max_size=200))
def test_no_bytes_make_reading_fail_in_an_unforeseen_way(text: bytes) -> None:
    try:
        line_of(text)
    except ValueError:
        return


def test_the_latest_runs_and_those_beyond_their_budget_are_shown_newest_first() -> None:
    added_up = AddedUp(NOW, 30, {"nightly": 10_000.0, "hourly": 2_000.0})
    everything = list(History(4, 30, beyond=100).records())
    for record in reversed(everything):
        added_up.add(record)
    picks = added_up.picks()
    times = [pick.at for pick in picks if pick.at]
    assert times == sorted(times, reverse=True)
    assert [at for at in times if at > NOW - timedelta(hours=LATEST / 4)] == times[:LATEST]
    too_long = [pick for pick in picks if pick.status == "weaker" and pick.reason.startswith("held for longer")]
    assert len(too_long) >= BEYOND


def test_what_is_older_than_was_asked_for_is_left_out() -> None:
    made = reporting.content(History(1, 20), POLICIES, rows(1), NOW, 7)
    assert made.records == 7 * 24 + 1
    assert len(made.stalls[0].periods) == 8, "seven days touch eight dates"


def test_a_long_time_is_told_by_weeks_that_begin_on_a_monday() -> None:
    made = reporting.content(History(1, 60), POLICIES, rows(1), NOW, 60)
    assert made.days_per_period == 7
    assert {period.begins.weekday() for period in made.stalls[0].periods} == {0}
    assert sum(period.holds for period in made.stalls[0].periods) == made.records


@pytest.mark.parametrize(
    ("values", "expected"), [([5.0], (5, 5)), ([1.0, 2.0], (1, 2)), ([float(n) for n in range(1, 101)], (50, 95))]
)
def test_percentiles_are_values_that_were_measured(values: list[float], expected: tuple[float, float]) -> None:
    assert (percentile(values, 50), percentile(values, 95)) == expected


def test_a_run_under_way_elsewhere_is_neither_a_failure_nor_a_run_to_show() -> None:
    added_up = AddedUp(NOW, 30, {})
    for status in ("in_progress", "dispatched"):
        added_up.add(read(json.dumps({**History(1, 1).fields(1, 0, NOW), "outcome": status})))
    assert (added_up.records, added_up.picks(), added_up.troubles()) == (0, (), ())

"""Two who want the same instance or disk at the same time: one holds, the other is told before anything is locked."""

from __future__ import annotations

import pytest

from quiesce_lab.cloud import faults
from quiesce_lab.scf import Invoked
from quiesce_lab.stage import Stage
from tests.lab.situations import assert_writable, inside_the_hold, target_of
from tests.lab.test_bad_input import http

pytestmark = pytest.mark.lab


def reasons_of(done: Invoked) -> str:
    return "; ".join(target_of(done.value)["certificate"]["reasons"])


def asked_for_a_hold(done: Invoked) -> bool:
    return any(step.get("step") == "quiesce_asked" for step in done.steps)


@pytest.mark.parametrize("second", ["another timer", "a manual run by HTTP"])
def test_a_run_that_meets_another_runs_hold_is_told_busy_and_asks_for_no_lock(lab: Stage, second: str) -> None:
    lab.site.cloud.record.clear()
    manual = http(lab, b'{"policy": "nightly"}') if second != "another timer" else lab.event()
    lab.site.cloud.faults.set("CreateSnapshot", faults.slow(1.2))
    first = inside_the_hold(lab)
    met = lab.function.invoke(manual)
    assert target_of(met.value)["level"] == "none"
    assert "busy" in reasons_of(met)
    assert not asked_for_a_hold(met)
    assert target_of(first.wait().value)["level"] == "application", "the one that holds is not disturbed"
    assert len(lab.site.cloud.record.of("CreateSnapshot")) == 1
    assert_writable(lab, within_s=2)
    assert target_of(lab.fire())["level"] == "application"


def test_two_runs_that_begin_at_the_same_moment_make_one_application_consistent_set(lab: Stage) -> None:
    lab.site.cloud.record.clear()
    events = [lab.event(), lab.event()]
    started = [lab.function.start(event) for event in events]
    levels = sorted(target_of(one.wait().value)["level"] for one in started)
    assert levels[0] in ("application", "none")
    assert levels[-1] in ("application", "none") and "application" in levels
    sets = len([call for call in lab.site.cloud.record.of("CreateSnapshot") if call.snapshot_id])
    assert sets == levels.count("application")
    assert_writable(lab, within_s=2)


def test_a_snapshot_that_tencents_own_schedule_is_making_stops_a_run_before_the_hold(lab: Stage) -> None:
    lab.wait_until_complete()
    event = lab.event()
    lab.site.cloud.record.clear()
    lab.site.cloud.settings.snapshot_seconds, usual_s = 5.0, lab.site.cloud.settings.snapshot_seconds
    try:
        disk = {"DiskId": lab.host.disk_ids[0], "SnapshotName": "asp-nightly"}
        scheduled = lab.site.console.cbs.call_json("CreateSnapshot", disk)["Response"]["SnapshotId"]
    finally:
        lab.site.cloud.settings.snapshot_seconds = usual_s
    met = lab.function.invoke(event)
    assert target_of(met.value)["level"] == "none"
    assert f"is being snapshotted already: {scheduled} (asp-nightly" in reasons_of(met)
    assert not asked_for_a_hold(met)
    assert len(lab.site.cloud.record.of("CreateSnapshot")) == 1
    assert_writable(lab, within_s=2)
    assert target_of(lab.fire())["level"] == "application"

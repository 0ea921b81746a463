"""The whole chain on real disks with a real MariaDB: the verdict comes from the ledger, never from the product."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quiesce_lab import rivals
from quiesce_lab.stage import Stage, stage
from quiesce_lab.trial import by_function, by_rival, report_of, run_trial, run_until_broken
from tests.lab.cloud_world import ALLOWED_EVERY_S
from tests.lab.conftest import EVENT_BUS
from tests.lab.situations import assert_writable, sessions, setting, target_of
from tests.waiting import wait_until

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("durability", [0, 1, 2])
def test_nothing_is_lost_whatever_the_durability(lab: Stage, durability: int) -> None:
    lab.host.set_durability(durability)
    before = sessions(lab)
    trial = run_trial(lab.host, by_function(lab.fire))
    assert trial.taken.said["level"] == "application", trial.taken.said["reasons"]
    assert trial.verdict.consistent, trial.verdict
    assert trial.taken.said["gtid"] == trial.verdict.position["gtid"]
    assert setting(lab) == durability
    assert sessions(lab) == before


@pytest.mark.parametrize("rival", [rivals.without_quiescing, rivals.documented_by_hand], ids=lambda r: r.__name__)
def test_other_ways_lose_commits_that_were_acknowledged(lab: Stage, rival: rivals.Rival) -> None:
    lab.host.set_durability(0)
    trial, _ = run_until_broken(lab.host, by_rival(lab.host, rival), attempts=8)
    assert trial.verdict.lost > 0


def test_a_second_delivery_reports_the_snapshots_of_the_first(lab: Stage) -> None:
    event = lab.event()
    first = target_of(lab.function.invoke(event).value)
    calls = len(lab.site.cloud.record.of("CreateSnapshot"))
    second = target_of(lab.function.invoke(event).value)
    assert second["certificate"]["snapshots"] == first["certificate"]["snapshots"]
    assert second["level"] == "application"
    assert len(lab.site.cloud.record.of("CreateSnapshot")) == calls


def test_what_a_run_got_is_published_as_an_event(lab: Stage) -> None:
    report = lab.fire()
    event = lab.site.cloud.world.estate().event_buses[EVENT_BUS][-1]
    assert (event["Source"], event["Type"], event["Subject"]) == ("quiesce", "quiesce:run:reached", "nightly")
    data = json.loads(str(event["Data"]))
    assert (data["run_id"], data["path"]) == (report["run_id"], report["path"])
    assert data["targets"][0]["level"] == "application"


def test_a_bus_that_is_gone_changes_nothing_of_the_run(lab: Stage) -> None:
    buses = lab.site.cloud.world.estate().event_buses
    kept = buses.pop(EVENT_BUS)
    try:
        invocation = lab.function.invoke(lab.event())
    finally:
        buses[EVENT_BUS] = kept
    assert report_of(invocation.value)["status"] == "reached"
    assert any('"step":"event","outcome":"trouble"' in line for line in invocation.log)


def listed(lab: Stage, snapshot_id: str) -> list[dict[str, Any]]:
    """What the API lists under this id; nothing for a moment after it was accepted."""
    answer = lab.site.console.cbs.call_json("DescribeSnapshots", {"SnapshotIds": [snapshot_id]})
    return list(answer["Response"]["SnapshotSet"])


def test_the_snapshot_is_named_and_tagged(lab: Stage) -> None:
    certificate = target_of(lab.fire())["certificate"]
    (snapshot_id,) = certificate["snapshots"].values()
    (snapshot,) = wait_until(lambda: listed(lab, snapshot_id), every_s=ALLOWED_EVERY_S)
    tags = {tag["Key"]: tag["Value"] for tag in snapshot["Tags"]}
    disk = lab.host.disk_ids[0].removeprefix("disk-")
    assert snapshot["SnapshotName"] == f"quiesce-nightly-{certificate['run_id']}-{disk}"
    assert tags["quiesce:level"] == "application"
    assert snapshot["DeadlineTime"]


def test_nothing_slow_happens_between_the_hold_and_the_call(lab: Stage) -> None:
    lab.site.cloud.record.clear()
    lab.fire()
    actions = [call.action for call in lab.site.cloud.record.calls]
    held = actions.index("CreateSnapshot")
    assert actions.count("CreateSnapshot") == 1
    assert {"DescribeInstances", "DescribeDisks", "DescribeSnapshots"} <= set(actions[:held])
    assert set(actions[held + 1 :]) == {"ModifyResourceTags", "ModifySnapshotAttribute", "PutEvents"}


def test_the_function_fits_into_its_memory(lab: Stage) -> None:
    done = lab.function.invoke(lab.event())
    assert done.status == 200, done.error
    assert 0 < done.peak_rss_mib < 128


@pytest.mark.parametrize(("disks", "fs"), [pytest.param(4, "ext4", id="four disks"), pytest.param(1, "xfs", id="xfs")])
def test_other_layouts_are_cut_inside_one_hold_too(state_dir: Path, disks: int, fs: str) -> None:
    with stage(state_dir.with_name(f"{state_dir.name}-{disks}-{fs}"), disks=disks, fs=fs, address="127.77.0.2") as here:
        here.host.load.start(1000)
        here.host.set_durability(0)
        trial = run_trial(here.host, by_function(here.fire))
        assert trial.taken.said["level"] == "application", trial.taken.said["reasons"]
        assert trial.verdict.consistent, trial.verdict
        assert len(trial.taken.snapshots) == disks
        assert_writable(here, within_s=5)

"""Groups on real disks with a real MariaDB: data on one, redo on the other, cut with a gap in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from quiesce_lab.cloud import faults
from quiesce_lab.stage import Stage, stage
from quiesce_lab.trial import Taken, by_function, run_trial
from tests.lab.situations import assert_writable, target_of
from tests.waiting import wait_until

pytestmark = pytest.mark.lab

GAP_S = 0.3
"""Between the cuts of two members: half of such pairs do not restore when nothing is held still."""


@pytest.fixture(scope="module")
def two_disks(state_dir: Path) -> Iterator[Stage]:
    policy = {"snapshot_group": "true", "on_partial": '"delete"', "acquire_limit_s": "1.0", "hold_limit_s": "5.0"}
    variables = {"QUIESCE_API_TIMEOUT_S": "1.5", "QUIESCE_HOOK_TIMEOUT_S": "3"}
    folder = state_dir.with_name(f"{state_dir.name}-group")
    with stage(folder, disks=2, address="127.77.0.3", variables=variables, policy=policy) as here:
        here.host.load.start(1000)
        here.host.set_durability(0)
        yield here


@pytest.fixture
def here(two_disks: Stage) -> Iterator[Stage]:
    two_disks.site.cloud.settings.group_gap_s = GAP_S
    two_disks.site.cloud.record.clear()
    yield two_disks
    two_disks.site.cloud.faults.clear()
    two_disks.site.cloud.settings.snapshot_groups = True


def snapshots(here: Stage) -> dict[str, dict[str, Any]]:
    """Everything that the API lists, by snapshot id, with tags as a mapping."""
    listed = here.site.console.cbs.call_json("DescribeSnapshots", {"Limit": 100})["Response"]["SnapshotSet"]
    return {one["SnapshotId"]: {**one, "Tags": {tag["Key"]: tag["Value"] for tag in one["Tags"]}} for one in listed}


def certificate_of(target: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(target["certificate"])


def test_a_group_under_a_hold_loses_nothing_although_its_members_are_cut_apart(here: Stage) -> None:
    trial = run_trial(here.host, by_function(here.fire))

    assert trial.taken.said["level"] == "application", trial.taken.said["reasons"]
    assert trial.verdict.consistent, trial.verdict
    assert len(here.site.cloud.record.of("CreateSnapshotGroup")) == 1
    assert here.site.cloud.record.of("CreateSnapshot") == ()
    assert_writable(here, within_s=5)


def test_the_hold_ends_with_the_call_and_the_members_are_looked_up_labelled_and_expire_after_it(here: Stage) -> None:
    certificate = certificate_of(target_of(here.fire()))
    actions = [call.action for call in here.site.cloud.record.calls]
    held = actions.index("CreateSnapshotGroup")
    made = [snapshots(here)[snapshot_id] for snapshot_id in certificate["snapshots"].values()]

    assert (certificate["created_by"], certificate["group_refusal"]) == ("CreateSnapshotGroup", "")
    assert certificate["group_id"].startswith("snapg-")
    assert {"DescribeSnapshots", "DescribeSnapshotGroups", "DescribeDisks"} <= set(actions[:held])
    assert "DescribeSnapshotGroups" in actions[held:]
    assert {one["SnapshotName"] for one in made} == {
        f"quiesce-nightly-{certificate['run_id']}-{disk_id.removeprefix('disk-')}" for disk_id in here.host.disk_ids
    }
    assert all(one["Tags"]["quiesce:level"] == "application" and one["DeadlineTime"] for one in made)
    assert float(certificate["held_s"]) < 2.0, "a look-up inside the hold would take longer than the call and the gap"


def test_a_second_delivery_reports_the_group_of_the_first(here: Stage) -> None:
    event = here.event()
    first = certificate_of(target_of(here.function.invoke(event).value))
    second = target_of(here.function.invoke(event).value)

    assert certificate_of(second)["snapshots"] == first["snapshots"]
    assert second["level"] == "application"
    assert len(here.site.cloud.record.of("CreateSnapshotGroup")) == 1


def test_a_group_whose_answer_is_lost_is_adopted_and_proves_nothing(here: Stage) -> None:
    here.site.cloud.faults.set("CreateSnapshotGroup", faults.lost_response())
    target = target_of(here.fire())

    assert target["level"] == "unknown"
    assert len(certificate_of(target)["snapshots"]) == 2
    assert len(here.site.cloud.record.of("CreateSnapshotGroup")) == 1
    assert here.site.cloud.record.of("CreateSnapshot") == ()
    assert_writable(here, within_s=5)


def test_an_account_without_groups_gets_an_application_consistent_set_all_the_same(here: Stage) -> None:
    here.site.cloud.settings.snapshot_groups = False
    reports: list[Mapping[str, Any]] = []

    def fire() -> Mapping[str, Any]:
        reports.append(here.fire())
        return reports[-1]

    trial = run_trial(here.host, by_function(fire))
    certificate = certificate_of(target_of(reports[0]))

    assert trial.taken.said["level"] == "application", trial.taken.said["reasons"]
    assert trial.verdict.consistent, trial.verdict
    assert certificate["created_by"] == "CreateSnapshot"
    assert certificate["group_refusal"].startswith("UnsupportedOperation: ")
    assert len(here.site.cloud.record.of("CreateSnapshot")) == 2


def test_one_disk_refused_leaves_no_set_and_the_other_snapshot_is_marked_and_deleted(here: Stage) -> None:
    here.site.cloud.settings.snapshot_groups = False
    refused, made = here.host.disk_ids
    here.site.cloud.faults.set("CreateSnapshot", faults.refuse("InvalidDisk.Busy"), match={"DiskId": refused})
    before = set(snapshots(here))
    target = target_of(here.fire())
    (snapshot_id,) = certificate_of(target)["snapshots"].values()

    assert (target["level"], target["status"]) == ("none", "failed")
    assert set(certificate_of(target)["snapshots"]) == {made}
    assert refused in certificate_of(target)["reasons"][0] and "InvalidDisk.Busy" in certificate_of(target)["reasons"][0]
    assert target["partial"] == {snapshot_id: "deleted"}
    assert wait_until(lambda: set(snapshots(here)) == before)
    marked = [call.request for call in here.site.cloud.record.of("ModifyResourceTags")]
    assert {"TagKey": "quiesce:level", "TagValue": "none"} in marked[0]["ReplaceTags"]
    named = [call.request.get("SnapshotName", "") for call in here.site.cloud.record.of("ModifySnapshotAttribute")]
    assert all(name == "" or name.endswith("-pending") for name in named)
    assert_writable(here, within_s=5)


def test_a_group_without_a_hold_does_not_restore(here: Stage) -> None:
    """What the hold is for: the same call, the same gap, nothing held still."""
    here.site.cloud.settings.group_gap_s = 1.0

    def take(name: str) -> Taken:
        params = {"DiskIds": list(here.host.disk_ids), "SnapshotGroupName": name}
        here.site.console.cbs.call_json("CreateSnapshotGroup", params)
        (call,) = here.site.cloud.record.of("CreateSnapshotGroup")
        return Taken(dict(zip(here.host.disk_ids, call.member_ids, strict=True)))

    here.wait_until_complete()
    assert not run_trial(here.host, take).verdict.consistent

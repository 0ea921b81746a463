"""Groups, and the deleting of parts of a set, against the lab's cloud, which checks and refuses by its own code."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from quiesce.adapters.cbs import CbsSnapshots
from quiesce.adapters.discard import discard
from quiesce.errors import CloudError, UnavailableError
from quiesce.model import Intent
from quiesce.naming import pending
from quiesce.plan import expiry_in
from quiesce_lab.cloud import faults
from quiesce_lab.cloud.model import Snapshot
from tests.lab.cloud_world import ALLOWED_EVERY_S, Lab, running_lab
from tests.lab.test_adapters_against_the_cloud import cloud_of, store_of
from tests.waiting import wait_until

GROUP = "quiesce-p-0123456789-00lycyy6"
INTENTS = tuple(Intent(disk, f"quiesce-p-0123456789-{disk}", None, GROUP) for disk in ("disk-aaaa1111", "disk-bbbb2222"))
SOON = expiry_in(1, datetime.now(timezone.utc))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        lab.cloud.world.add_instance("ins-00lycyy6", "10.0.0.7")
        for intent in INTENTS:
            lab.disk(intent.disk_id, instance_id="ins-00lycyy6")
        lab.cloud.settings.group_gap_s = 0.0
        yield lab


def prepared(lab: Lab) -> CbsSnapshots:
    store = store_of(lab)
    store.connect(INTENTS)
    return store


def create(lab: Lab) -> str:
    return prepared(lab).create(*INTENTS, timeout_s=1.0)


def there(lab: Lab) -> dict[str, Snapshot]:
    """Every snapshot of the cloud, by its disk."""
    return {snapshot.disk_id: snapshot for snapshot in lab.cloud.world.estate().snapshots.values()}


def test_a_group_is_made_found_labelled_and_then_found_by_the_names_of_its_members(lab: Lab) -> None:
    store = prepared(lab)
    group_id = store.create(*INTENTS, timeout_s=1.0)
    found = wait_until(lambda: store.find(INTENTS), every_s=ALLOWED_EVERY_S)
    names = {found[intent.disk_id].snapshot_id: intent.name for intent in INTENTS}
    store.label(names, {"quiesce:level": "application"}, expires_at=SOON)
    again = store.find(INTENTS)

    assert {one.group_id for one in found.values()} == {group_id}
    assert {disk_id: one.snapshot_id for disk_id, one in again.items()} == {d: one.snapshot_id for d, one in found.items()}
    assert [again[intent.disk_id].name for intent in INTENTS] == [intent.name for intent in INTENTS]
    assert all(86_400 < (one.deadline_s or 0) - time.time() < 90_001 for one in there(lab).values())
    assert all(one.tags == {"quiesce:level": "application"} for one in there(lab).values())


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        pytest.param(faults.lost_response(), 2, id="lost response"),
        pytest.param(faults.error_after_success(), 2, id="error after success"),
        pytest.param(faults.null_snapshot_id(), 2, id="null id"),
        pytest.param(faults.not_json(), 2, id="not JSON"),
        pytest.param(faults.slow(1.5), 2, id="slow"),
        pytest.param(faults.http_500(), 0, id="HTTP 500"),
    ],
)
def test_a_group_whose_outcome_is_unknown_is_ambiguous_sent_once_and_found_by_name_if_it_worked(
    lab: Lab, fault: faults.Fault, made: int
) -> None:
    lab.cloud.faults.set("CreateSnapshotGroup", fault)
    with pytest.raises(CloudError) as failed:
        create(lab)

    assert failed.value.ambiguous
    if made:
        store = store_of(lab)
        assert wait_until(lambda: len(store.find(INTENTS)) == made, every_s=ALLOWED_EVERY_S)
    assert len(lab.cloud.record.of("CreateSnapshotGroup")) == 1
    assert len(there(lab)) == made


def test_an_account_without_groups_is_told_apart_and_each_disk_can_be_asked_for_at_once(lab: Lab) -> None:
    lab.cloud.settings.snapshot_groups = False
    store = prepared(lab)
    with pytest.raises(UnavailableError):
        store.create(*INTENTS, timeout_s=1.0)
    for intent in INTENTS:
        store.create(intent, timeout_s=1.0)

    assert {one.name for one in there(lab).values()} == {pending(intent.name) for intent in INTENTS}


def test_a_disk_that_is_creating_a_snapshot_refuses_the_whole_group(lab: Lab) -> None:
    store = prepared(lab)
    lab.snapshot(INTENTS[1].disk_id)  # between the look and the call
    with pytest.raises(CloudError) as refused:
        store.create(*INTENTS, timeout_s=1.0)

    assert (refused.value.code, refused.value.ambiguous) == ("InvalidDisk.SnapshotCreating", False)
    assert set(there(lab)) == {INTENTS[1].disk_id}


def test_what_is_complete_is_deleted_one_id_a_call(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 0
    ids = [lab.snapshot(intent.disk_id) for intent in INTENTS]

    assert discard(cloud_of(lab), time, ids, ids, expires_at=SOON, limit_s=0) == dict.fromkeys(ids, "deleted")
    assert there(lab) == {}
    assert [call.request["SnapshotIds"] for call in lab.cloud.record.of("DeleteSnapshots")] == [[one] for one in ids]


def test_what_gets_complete_in_time_is_deleted_then(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 0.5
    ids = [lab.snapshot(INTENTS[0].disk_id)]

    assert discard(cloud_of(lab), time, ids, ids, expires_at=SOON, limit_s=10) == {ids[0]: "deleted"}


def test_what_is_not_complete_in_time_expires_within_a_day_and_says_why(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 100
    one = lab.snapshot(INTENTS[0].disk_id)
    (fate,) = discard(cloud_of(lab), time, [one], [one], expires_at=SOON, limit_s=0).values()

    assert fate.startswith(f"expires at {SOON}; not deleted: ") and "InvalidSnapshot.NotSupported" in fate
    assert 86_400 < (there(lab)[INTENTS[0].disk_id].deadline_s or 0) - time.time() < 90_001


def test_what_was_deleted_although_the_answer_was_lost_counts_as_deleted(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 0
    lab.cloud.faults.set("DeleteSnapshots", faults.lost_response())
    one = lab.snapshot(INTENTS[0].disk_id)

    assert discard(cloud_of(lab), time, [one], [one], expires_at=SOON, limit_s=5) == {one: "deleted"}


def test_a_group_is_deleted_as_one(lab: Lab) -> None:
    lab.cloud.settings.snapshot_seconds = 0
    group_id = create(lab)
    (known, *_) = [one.snapshot_id for one in there(lab).values()]

    assert discard(cloud_of(lab), time, [group_id], [known], expires_at=SOON, limit_s=0) == {group_id: "deleted"}
    assert there(lab) == {}


def test_a_cloud_that_refuses_everything_raises_nothing_and_is_quoted(lab: Lab) -> None:
    one = lab.snapshot(INTENTS[0].disk_id)
    for action in ("ModifySnapshotAttribute", "DeleteSnapshots"):
        lab.cloud.faults.set(action, faults.refuse("UnauthorizedOperation"), times=None)
    (fate,) = discard(cloud_of(lab), time, [one], [one], expires_at=SOON, limit_s=0).values()

    assert fate.startswith("cannot be made to expire: ") and fate.count("UnauthorizedOperation") == 2

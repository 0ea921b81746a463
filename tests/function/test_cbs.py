"""Disks and snapshots as they are listed and labelled, against a scripted cloud on a real TLS connection."""

from __future__ import annotations

import pytest

from quiesce.adapters.disks import find_disks
from quiesce.adapters.tencent import Cloud
from quiesce.errors import CloudError
from quiesce.model import Intent
from quiesce.plan import Disk
from tests.function.cbs_cloud import A, B, answer, paged, snapshots
from tests.function.loopback import Authority, Received, Reply
from tests.function.settings_for import cloud_settings


def listed(intent: Intent, snapshot_id: str, **changes: object) -> dict[str, object]:
    """A snapshot with every field that a recorded answer has (platform facts, section 8)."""
    return {
        "Tags": [],
        "Placement": {"Zone": "ap-singapore-1", "ProjectId": 1159375, "CageId": ""},
        "IsPermanent": True,
        "DeadlineTime": "",
        "Percent": 100,
        "SnapshotId": snapshot_id,
        "DiskId": intent.disk_id,
        "SnapshotName": intent.name,
        "SnapshotState": "NORMAL",
        "CreateTime": "2020-06-22 09:35:03",
        **changes,
    }


def test_a_snapshot_is_found_by_its_exact_name_on_its_own_disk(authority: Authority) -> None:
    everything = [
        listed(A, "snap-longer", SnapshotName=A.name + "-1"),
        listed(A, "snap-other", SnapshotName="Unnamed"),
        listed(A, "snap-elsewhere", DiskId=B.disk_id),
        listed(A, "snap-wanted", SnapshotState="CREATING", Percent=40, Tags=[{"Key": "quiesce:run", "Value": "r"}]),
    ]
    with authority.serve(lambda received: paged(everything, "SnapshotSet", received)) as server:
        found = snapshots(server, authority).find([A, B])

    assert list(found) == [A.disk_id]
    wanted = found[A.disk_id]
    assert (wanted.snapshot_id, wanted.name, wanted.state, wanted.percent) == ("snap-wanted", A.name, "CREATING", 40)
    assert wanted.tags == {"quiesce:run": "r"}
    assert server.received[0].params["Filters"] == [{"Name": "disk-id", "Values": [A.disk_id, B.disk_id]}]


def test_a_snapshot_is_found_while_its_name_is_still_pending(authority: Authority) -> None:
    everything = [listed(A, "snap-early", SnapshotName=A.name + "-pending"), listed(B, "snap-late")]
    with authority.serve(lambda received: paged(everything, "SnapshotSet", received)) as server:
        found = snapshots(server, authority).find([A, B])

    assert {disk_id: snapshot.snapshot_id for disk_id, snapshot in found.items()} == {
        A.disk_id: "snap-early",
        B.disk_id: "snap-late",
    }


def test_a_list_of_many_pages_is_read_to_its_end(authority: Authority) -> None:
    everything = [listed(A, f"snap-{n}", SnapshotName="Unnamed") for n in range(250)] + [listed(A, "snap-wanted")]
    with authority.serve(lambda received: paged(everything, "SnapshotSet", received)) as server:
        found = snapshots(server, authority).find([A])

    assert found[A.disk_id].snapshot_id == "snap-wanted"
    assert [received.params["Offset"] for received in server.received] == [0, 100, 200]


def test_reading_ends_as_soon_as_every_disk_is_found(authority: Authority) -> None:
    everything = [listed(A, "snap-wanted")] + [listed(A, f"snap-{n}", SnapshotName="Unnamed") for n in range(250)]
    with authority.serve(lambda received: paged(everything, "SnapshotSet", received)) as server:
        snapshots(server, authority).find([A])

    assert len(server.received) == 1
    assert (server.received[0].params["OrderField"], server.received[0].params["Order"]) == ("CREATE_TIME", "DESC")


def test_more_than_ten_disks_are_asked_for_in_batches(authority: Authority) -> None:
    intents = [Intent(f"disk-{n:08d}", f"name-{n}") for n in range(21)]
    everything = {intent.disk_id: listed(intent, f"snap-{intent.disk_id}") for intent in intents}

    def reply(received: Received) -> Reply:
        (one,) = received.params["Filters"]
        return paged([everything[disk_id] for disk_id in one["Values"]], "SnapshotSet", received)

    with authority.serve(reply) as server:
        found = snapshots(server, authority).find(intents)

    assert {disk_id: s.snapshot_id for disk_id, s in found.items()} == {i.disk_id: f"snap-{i.disk_id}" for i in intents}
    assert [len(received.params["Filters"][0]["Values"]) for received in server.received] == [10, 10, 1]


def test_null_fields_are_read_as_nothing_there(authority: Authority) -> None:
    nothing: dict[str, object] = {"SnapshotId": None, "SnapshotName": None, "DiskId": None, "Tags": None}
    bare: dict[str, object] = {
        "SnapshotId": "snap-1",
        "SnapshotName": A.name,
        "DiskId": A.disk_id,
        "Percent": None,
        "Tags": [{}],
    }
    with authority.serve(lambda _: answer(TotalCount=2, SnapshotSet=[nothing, bare])) as server:
        found = snapshots(server, authority).find([A])

    assert (found[A.disk_id].state, found[A.disk_id].percent, found[A.disk_id].tags) == ("UNKNOWN", 0, {})


def test_a_list_without_its_total_is_no_list(authority: Authority) -> None:
    with authority.serve(lambda _: answer(SnapshotSet=[])) as server, pytest.raises(CloudError):
        snapshots(server, authority).find([A])


def test_tags_go_to_every_snapshot_ten_at_a_time_and_the_final_names_come_after_them(authority: Authority) -> None:
    tags = {f"key-{n}": f"value-{n}" for n in range(12)}
    with authority.serve(lambda _: answer()) as server:
        snapshots(server, authority).label({"snap-1": A.name, "snap-2": B.name}, tags)

    assert server.actions() == ["ModifyResourceTags"] * 4 + ["ModifySnapshotAttribute"] * 2
    assert [(r.params["SnapshotId"], r.params["SnapshotName"]) for r in server.received[4:]] == [
        ("snap-1", A.name),
        ("snap-2", B.name),
    ]
    got: dict[str, dict[str, str]] = {}
    for received in server.received[:4]:
        assert len(received.params["ReplaceTags"]) <= 10
        pairs = {tag["TagKey"]: tag["TagValue"] for tag in received.params["ReplaceTags"]}
        got.setdefault(received.params["Resource"], {}).update(pairs)
    assert got == {f"qcs::cvm:ap-guangzhou:uin/:snapshot/snap-{n}": tags for n in (1, 2)}


def test_a_label_that_is_refused_is_an_error(authority: Authority) -> None:
    refused = answer(Error={"Code": "UnauthorizedOperation", "Message": "tag:ModifyResourceTags"})
    with authority.serve(lambda _: refused) as server, pytest.raises(CloudError, match="tag:ModifyResourceTags"):
        snapshots(server, authority).label({"snap-1": A.name}, {"k": "v"})

    assert "ModifySnapshotAttribute" not in server.actions(), "an untagged snapshot keeps its pending name"


def test_disks_of_instances_are_listed_with_what_speaks_against_a_snapshot(authority: Authority) -> None:
    everything: list[dict[str, object]] = [
        {
            "DiskId": "disk-aaaa1111",
            "InstanceId": "ins-00lycyy6",
            "DiskState": "ATTACHED",
            "SnapshotAbility": True,
            "DiskUsage": "SYSTEM_DISK",
        },
        {
            "DiskId": "disk-bbbb2222",
            "InstanceId": "ins-00lycyy6",
            "DiskState": "ATTACHED",
            "SnapshotAbility": None,
            "Shareable": True,
            "Migrating": True,
            "Rollbacking": True,
        },
        {"DiskId": None},
    ]
    with authority.serve(lambda received: paged(everything, "DiskSet", received)) as server:
        found = find_disks(Cloud(cloud_settings(server.port, authority.pem)), ["ins-00lycyy6"])

    assert found == (
        Disk("disk-aaaa1111", "ins-00lycyy6", "ATTACHED", snapshot_ability=True, shareable=False, system=True),
        Disk("disk-bbbb2222", "ins-00lycyy6", "ATTACHED", False, True, migrating=True, rolling_back=True),
    )
    assert server.received[0].params["Filters"] == [{"Name": "instance-id", "Values": ["ins-00lycyy6"]}]

"""Snapshot groups as they are created and looked up, against a scripted cloud on a real TLS connection."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from quiesce.adapters.cbs import CbsSnapshots
from quiesce.adapters.rate_limit import RateLimit
from quiesce.adapters.tencent import Cloud
from quiesce.errors import CloudError, UnavailableError
from tests.function.cbs_cloud import A as SINGLE_A
from tests.function.cbs_cloud import B as SINGLE_B
from tests.function.cbs_cloud import SteppedClock, answer, cooperative, paged, snapshots
from tests.function.loopback import HANG_UP, Authority, Received, Reply
from tests.function.settings_for import cloud_settings

GROUP = "quiesce-p-0123456789-00lycyy6"
A, B = replace(SINGLE_A, group=GROUP), replace(SINGLE_B, group=GROUP)


def error(code: str) -> Reply:
    return answer(Error={"Code": code, "Message": "because"})


def member(snapshot_id: str, disk_id: str, name: str) -> dict[str, object]:
    return {"SnapshotId": snapshot_id, "DiskId": disk_id, "SnapshotName": name, "SnapshotState": "NORMAL", "Percent": 100}


def of_group(group_id: str, name: str, *snapshot_ids: str) -> dict[str, object]:
    return {"SnapshotGroupId": group_id, "SnapshotGroupName": name, "SnapshotIdSet": list(snapshot_ids)}


def with_groups(received: Received) -> Reply:
    """Answer as a cloud that has two groups, one of which has a longer name, and lists members by their ids."""
    everything = [member("snap-1", A.disk_id, f"{GROUP}_0"), member("snap-2", B.disk_id, "renamed by somebody")]
    if received.action == "DescribeSnapshotGroups":
        others = of_group("snapg-2", f"{GROUP}-2", "snap-8", "snap-9"), of_group("snapg-1", GROUP, "snap-1", "snap-2")
        return answer(TotalCount=2, SnapshotGroupSet=list(others))
    if received.action == "DescribeSnapshots" and "SnapshotIds" in received.params:
        return paged(
            [one for one in everything if one["SnapshotId"] in received.params["SnapshotIds"]], "SnapshotSet", received
        )
    if received.action == "CreateSnapshotGroup":
        return answer(SnapshotGroupId="snapg-1")
    return answer() if received.action.startswith("Modify") else cooperative(received)


def without_groups(received: Received) -> Reply:
    """Answer as a cloud whose account is outside the beta, also when it is only asked what there is."""
    return error("UnsupportedOperation") if "Group" in received.action else cooperative(received)


def test_a_group_is_one_call_for_every_disk_on_a_connection_that_prepare_opened(authority: Authority) -> None:
    with authority.serve(with_groups) as server:
        store = snapshots(server, authority)
        store.connect([A, B])
        opened = server.connections
        assert store.create(A, B, timeout_s=1.0) == "snapg-1"

    (sent,) = [received for received in server.received if received.action == "CreateSnapshotGroup"]
    assert sent.params == {"DiskIds": [A.disk_id, B.disk_id], "SnapshotGroupName": GROUP}, "no expiry, no tags, no token"
    assert server.connections == opened


def test_members_are_found_through_a_group_of_exactly_this_name_and_told_apart_by_their_disks(authority: Authority) -> None:
    with authority.serve(with_groups) as server:
        found = snapshots(server, authority).find([A, B])

    assert {disk_id: (one.snapshot_id, one.group_id) for disk_id, one in found.items()} == {
        A.disk_id: ("snap-1", "snapg-1"),
        B.disk_id: ("snap-2", "snapg-1"),
    }
    asked = {received.action: received.params for received in server.received}
    assert asked["DescribeSnapshotGroups"]["Filters"] == [{"Name": "snapshot-group-name", "Values": [GROUP]}]
    assert asked["DescribeSnapshots"]["SnapshotIds"] == ["snap-1", "snap-2"]


def test_members_that_have_their_own_names_are_found_without_their_group(authority: Authority) -> None:
    named = [member("snap-1", A.disk_id, A.name), member("snap-2", B.disk_id, B.name + "-pending")]
    with authority.serve(lambda received: paged(named, "SnapshotSet", received)) as server:
        found = snapshots(server, authority).find([A, B])

    assert set(found) == {A.disk_id, B.disk_id}
    assert server.actions() == ["DescribeSnapshots"]


def test_where_groups_cannot_be_listed_members_are_found_by_the_groups_name_with_a_number(authority: Authority) -> None:
    numbered = [member("snap-1", A.disk_id, f"{GROUP}_0"), member("snap-2", B.disk_id, f"{GROUP}_1")]

    def reply(received: Received) -> Reply:
        if "Group" in received.action:
            return error("UnauthorizedOperation")
        return paged(numbered, "SnapshotSet", received)

    with authority.serve(reply) as server:
        found = snapshots(server, authority).find([A, B])

    assert {disk_id: (one.snapshot_id, one.group_id) for disk_id, one in found.items()} == {
        A.disk_id: ("snap-1", None),
        B.disk_id: ("snap-2", None),
    }


def test_a_look_up_of_groups_that_fails_is_no_answer(authority: Authority) -> None:
    def reply(received: Received) -> Reply:
        return error("InvalidFilter") if "Group" in received.action else cooperative(received)

    with authority.serve(reply) as server, pytest.raises(CloudError) as failed:
        snapshots(server, authority).find([A, B])

    assert not isinstance(failed.value, UnavailableError)


@pytest.mark.parametrize(
    "code",
    [
        "UnsupportedOperation",
        "UnauthorizedOperation",
        "UnauthorizedOperation.RoleNotExists",
        "OperationDenied",
        "InvalidAction",
        "InvalidParameterValue.InvalidAction",
        "UnsupportedOperation.SnapshotGroupDiskAttachMultiInstance",
    ],
)
def test_what_says_that_there_are_no_groups_is_told_apart(authority: Authority, code: str) -> None:
    def reply(received: Received) -> Reply:
        return error(code) if received.action == "CreateSnapshotGroup" else with_groups(received)

    with authority.serve(reply) as server:
        store = snapshots(server, authority)
        store.connect([A, B])
        with pytest.raises(UnavailableError) as refused:
            store.create(A, B, timeout_s=1.0)
        assert (refused.value.code, refused.value.ambiguous) == (code, False)
        assert store.create(A, timeout_s=1.0) == f"snap-for-{A.disk_id}", "the connection and a permit are still there"
        assert store.create(B, timeout_s=1.0) == f"snap-for-{B.disk_id}"


@pytest.mark.parametrize(
    ("reply", "code", "ambiguous"),
    [
        pytest.param(answer(SnapshotGroupId=None), "NullSnapshotGroupId", True, id="null id"),
        pytest.param(HANG_UP, "ClientNetworkError", True, id="lost answer"),
        pytest.param(error("InternalError"), "InternalError", True, id="internal"),
        pytest.param(error("InsufficientSnapshotQuota"), "InsufficientSnapshotQuota", False, id="quota"),
        pytest.param(error("InvalidParameterValue"), "InvalidParameterValue", False, id="wrong value"),
        pytest.param(error("RequestLimitExceeded"), "RequestLimitExceeded", False, id="throttled"),
        pytest.param(error("UnsupportedOperation"), "UnsupportedOperation", False, id="no groups"),
    ],
)
def test_a_group_is_sent_once_whatever_comes_back(authority: Authority, reply: Reply, code: str, ambiguous: bool) -> None:
    def uncooperative(received: Received) -> Reply:
        return reply if received.action == "CreateSnapshotGroup" else with_groups(received)

    with authority.serve(uncooperative) as server:
        store = snapshots(server, authority)
        store.connect([A, B])
        with pytest.raises(CloudError) as failed:
            store.create(A, B, timeout_s=1.0)

    assert (failed.value.code, failed.value.ambiguous) == (code, ambiguous)
    assert server.actions().count("CreateSnapshotGroup") == 1


def test_an_account_that_cannot_list_groups_is_not_asked_for_one_in_the_hold(authority: Authority) -> None:
    with authority.serve(without_groups) as server:
        store = snapshots(server, authority)
        assert store.find([A, B]) == {}
        store.connect([A, B])
        with pytest.raises(UnavailableError):
            store.create(A, B, timeout_s=1.0)

    assert server.actions().count("DescribeSnapshotGroups") == 1
    assert "CreateSnapshotGroup" not in server.actions()


def test_a_group_takes_a_permit_of_its_own_and_those_not_used_are_given_back(authority: Authority) -> None:
    clock = SteppedClock()
    limit = RateLimit(clock, count=3, window_s=1.0)
    with authority.serve(with_groups) as server:
        store = CbsSnapshots(Cloud(cloud_settings(server.port, authority.pem)), limit)
        store.connect([A, B])
        store.admit([A, B])
        store.create(A, B, timeout_s=1.0)
        store.close()

    limit.take(2)
    assert clock.slept == [], "two of the three are free at once"
    limit.take(1)
    assert sum(clock.slept) >= 1.0, "the third was used a moment ago"


def test_members_get_their_expiry_before_their_tags_and_their_own_names_last(authority: Authority) -> None:
    with authority.serve(with_groups) as server:
        names = {"snap-1": A.name, "snap-2": B.name}
        snapshots(server, authority).label(names, {"k": "v"}, expires_at="2026-11-30T03:00:00+00:00")

    assert [(received.action, "SnapshotName" in received.params) for received in server.received] == [
        ("ModifySnapshotAttribute", False),
        ("ModifySnapshotAttribute", False),
        ("ModifyResourceTags", False),
        ("ModifyResourceTags", False),
        ("ModifySnapshotAttribute", True),
        ("ModifySnapshotAttribute", True),
    ]
    assert server.received[0].params == {
        "SnapshotId": "snap-1",
        "IsPermanent": False,
        "Deadline": "2026-11-30T03:00:00+00:00",
    }

from __future__ import annotations

import json

import pytest

from quiesce.adapters.cvm import find_instances
from quiesce.adapters.tencent import Cloud
from quiesce.errors import CloudError
from quiesce.plan import Instance
from quiesce.policies import TagSelector, Targets
from tests.function.loopback import Authority, Received, Reply
from tests.function.settings_for import cloud_settings


def answer(**fields: object) -> Reply:
    return Reply(json.dumps({"Response": {**fields, "RequestId": "r-1"}}).encode())


def instance(instance_id: str, **changes: object) -> dict[str, object]:
    """An instance with the fields and the nulls of a recorded answer (platform facts, section 8)."""
    return {
        "Placement": {"Zone": "ap-singapore-4", "HostId": None, "ProjectId": 0},
        "InstanceId": instance_id,
        "InstanceState": "RUNNING",
        "SystemDisk": {"DiskType": "CLOUD_BSSD", "DiskId": "disk-f4cbs4nc", "DiskSize": 50, "KmsKeyId": None},
        "DataDisks": [],
        "PrivateIpAddresses": ["192.168.0.8", "192.168.0.9"],
        "PublicIpAddresses": None,
        "IPv6Addresses": None,
        "Tags": [{"tagKey": "k", "tagValue": "v", "Key": "k", "Value": "v"}],
        **changes,
    }


def find(authority: Authority, targets: Targets, *listed: dict[str, object]) -> tuple[tuple[Instance, ...], list[Received]]:
    def reply(received: Received) -> Reply:
        start, count = received.params["Offset"], received.params["Limit"]
        return answer(TotalCount=len(listed), InstanceSet=listed[start : start + count])

    with authority.serve(reply) as server:
        found = find_instances(Cloud(cloud_settings(server.port, authority.pem)), targets)
    return found, server.received


def test_an_instance_is_found_with_its_state_and_its_first_private_address(authority: Authority) -> None:
    found, received = find(authority, Targets(instances=("ins-00lycyy6",)), instance("ins-00lycyy6"))

    assert found == (Instance("ins-00lycyy6", "RUNNING", "192.168.0.8"),)
    assert received[0].params["Filters"] == [{"Name": "instance-id", "Values": ["ins-00lycyy6"]}]


def test_ids_are_asked_for_five_at_a_time_because_a_filter_takes_no_more(authority: Authority) -> None:
    ids = tuple(f"ins-{n:08d}" for n in range(11))

    _, received = find(authority, Targets(instances=ids))

    assert [len(r.params["Filters"][0]["Values"]) for r in received] == [5, 5, 1]


def test_a_tag_selects_by_its_key_and_values(authority: Authority) -> None:
    targets = Targets(tag=TagSelector(key="备份", values=("yes", "daily")))

    found, received = find(authority, targets, instance("ins-00lycyy6"))

    assert len(found) == 1
    assert received[0].params["Filters"] == [{"Name": "tag:备份", "Values": ["yes", "daily"]}]


def test_an_instance_that_is_named_and_tagged_comes_once(authority: Authority) -> None:
    targets = Targets(instances=("ins-00lycyy6",), tag=TagSelector(key="k", values=("v",)))

    found, received = find(authority, targets, instance("ins-00lycyy6"))

    assert (len(found), len(received)) == (1, 2)


def test_every_page_is_read(authority: Authority) -> None:
    listed = [instance(f"ins-{n:08d}") for n in range(101)]

    found, received = find(authority, Targets(tag=TagSelector(key="k", values=("v",))), *listed)

    assert (len(found), len(received)) == (101, 2)


def test_disks_that_are_not_cbs_are_told(authority: Authority) -> None:
    local = instance("ins-00lycyy6", DataDisks=[{"DiskType": "LOCAL_SSD", "DiskId": None}, {"DiskType": "CLOUD_SSD"}])

    found, _ = find(authority, Targets(instances=("ins-00lycyy6",)), local)

    assert (found[0].local_data, found[0].local_system) == (("LOCAL_SSD",), None)


def test_a_system_disk_that_is_not_cbs_is_told_apart(authority: Authority) -> None:
    local = instance("ins-00lycyy6", SystemDisk={"DiskType": "LOCAL_BASIC"}, DataDisks=[{"DiskType": "CLOUD_SSD"}])

    found, _ = find(authority, Targets(instances=("ins-00lycyy6",)), local)

    assert (found[0].local_data, found[0].local_system) == ((), "LOCAL_BASIC")


def test_nulls_are_read_as_nothing_there(authority: Authority) -> None:
    bare = instance("ins-00lycyy6", InstanceState=None, SystemDisk=None, DataDisks=None, PrivateIpAddresses=None)

    found, _ = find(authority, Targets(instances=("ins-00lycyy6",)), bare, {"InstanceId": None})

    assert found == (Instance("ins-00lycyy6", "UNKNOWN", ""),)


def test_a_list_that_is_null_is_empty(authority: Authority) -> None:
    with authority.serve(lambda _: answer(TotalCount=0, InstanceSet=None)) as server:
        cloud = Cloud(cloud_settings(server.port, authority.pem))
        assert find_instances(cloud, Targets(instances=("ins-00lycyy6",))) == ()


def test_a_refused_look_up_is_an_error(authority: Authority) -> None:
    refused = answer(Error={"Code": "UnauthorizedOperation", "Message": "cvm:DescribeInstances"})
    with (
        authority.serve(lambda _: refused) as server,
        pytest.raises(CloudError, match="cvm:DescribeInstances"),
    ):
        find_instances(Cloud(cloud_settings(server.port, authority.pem)), Targets(instances=("ins-00lycyy6",)))

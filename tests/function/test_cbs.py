"""Disks and snapshots, against a scripted cloud on a real TLS connection."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce.adapters.cbs import CbsSnapshots, RateLimit, find_disks
from quiesce.adapters.tencent import Cloud
from quiesce.errors import CloudError
from quiesce.model import Intent
from quiesce.plan import Disk
from tests.function.loopback import HANG_UP, Authority, LoopbackServer, Received, Reply
from tests.function.settings_for import cloud_settings

A, B = Intent("disk-aaaa1111", "quiesce-p-0123456789-disk-aaaa1111"), Intent("disk-bbbb2222", "quiesce-p-0123456789-b")


@dataclass
class SteppedClock:
    """Moves only when somebody sleeps."""

    now_s: float = 100.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def answer(**fields: object) -> Reply:
    return Reply(json.dumps({"Response": {**fields, "RequestId": "r-1"}}).encode())


def snapshots(server: LoopbackServer, authority: Authority, clock: SteppedClock | None = None) -> CbsSnapshots:
    cloud = Cloud(cloud_settings(server.port, authority.pem))
    return CbsSnapshots(cloud, RateLimit(clock or SteppedClock()))


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


def paged(everything: Sequence[Mapping[str, object]], key: str, received: Received) -> Reply:
    start, count = received.params["Offset"], received.params["Limit"]
    return answer(TotalCount=len(everything), **{key: everything[start : start + count]})


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


def cooperative(received: Received) -> Reply:
    if received.action == "DescribeDisks":
        return answer(TotalCount=1, DiskSet=[{"DiskId": received.params["DiskIds"][0]}])
    return answer(SnapshotId="snap-for-" + received.params["DiskId"])


def test_create_uses_the_very_connection_that_prepare_opened_for_its_disk(authority: Authority) -> None:
    with authority.serve(cooperative) as server:
        store = snapshots(server, authority)
        store.prepare([A, B])
        opened = server.connections
        with ThreadPoolExecutor(max_workers=2) as pool:
            ids = list(pool.map(lambda intent: store.create(intent, timeout_s=1.0), [A, B]))

    assert ids == ["snap-for-disk-aaaa1111", "snap-for-disk-bbbb2222"]
    assert (opened, server.connections) == (2, 2)
    warmed = {r.params["DiskIds"][0]: r.connection for r in server.received if r.action == "DescribeDisks"}
    used = {r.params["DiskId"]: r.connection for r in server.received if r.action == "CreateSnapshot"}
    assert used == warmed


def test_prepare_creates_nothing(authority: Authority) -> None:
    with authority.serve(cooperative) as server:
        snapshots(server, authority).prepare([A, B])

    assert set(server.actions()) == {"DescribeDisks"}


def test_a_disk_that_has_gone_is_noticed_before_the_hold(authority: Authority) -> None:
    with authority.serve(lambda _: answer(TotalCount=0, DiskSet=[])) as server, pytest.raises(CloudError) as failed:
        snapshots(server, authority).prepare([A])

    assert (failed.value.code, failed.value.ambiguous) == ("InvalidDiskId.NotFound", False)


def test_create_sends_name_and_deadline_and_no_tags(authority: Authority) -> None:
    expiring = Intent(A.disk_id, A.name, "2026-11-24T03:00:00+00:00")
    with authority.serve(cooperative) as server:
        store = snapshots(server, authority)
        store.prepare([expiring, B])
        store.create(expiring, timeout_s=1.0)
        store.create(B, timeout_s=1.0)

    assert [received.params for received in server.received if received.action == "CreateSnapshot"] == [
        {"DiskId": A.disk_id, "SnapshotName": A.name, "Deadline": "2026-11-24T03:00:00+00:00"},
        {"DiskId": B.disk_id, "SnapshotName": B.name},
    ]


@pytest.mark.parametrize(
    ("reply", "code", "ambiguous"),
    [
        pytest.param(answer(SnapshotId=None), "NullSnapshotId", True, id="null id"),
        pytest.param(answer(), "NullSnapshotId", True, id="no id"),
        pytest.param(answer(SnapshotId=""), "NullSnapshotId", True, id="empty id"),
        pytest.param(HANG_UP, "ClientNetworkError", True, id="lost answer"),
        pytest.param(
            answer(Error={"Code": "InvalidDisk.SnapshotCreating", "Message": ""}),
            "InvalidDisk.SnapshotCreating",
            False,
            id="refused",
        ),
        pytest.param(
            answer(Error={"Code": "RequestLimitExceeded", "Message": ""}), "RequestLimitExceeded", False, id="throttled"
        ),
        pytest.param(answer(Error={"Code": "InternalError", "Message": ""}), "InternalError", True, id="internal"),
    ],
)
def test_create_is_sent_once_whatever_comes_back(authority: Authority, reply: Reply, code: str, ambiguous: bool) -> None:
    def uncooperative(received: Received) -> Reply:
        return reply if received.action == "CreateSnapshot" else cooperative(received)

    with authority.serve(uncooperative) as server:
        store = snapshots(server, authority)
        store.prepare([A])
        with pytest.raises(CloudError) as failed:
            store.create(A, timeout_s=1.0)

    assert (failed.value.code, failed.value.ambiguous) == (code, ambiguous)
    assert server.actions().count("CreateSnapshot") == 1


def test_create_is_sent_once_even_when_the_warm_connection_was_closed_meanwhile(authority: Authority) -> None:
    with authority.serve(cooperative) as server:
        store = snapshots(server, authority)
        store.prepare([A])
        server.hang_up_all()
        try:
            assert store.create(A, timeout_s=1.0) == "snap-for-disk-aaaa1111"
        except CloudError as error:
            assert error.ambiguous  # when the closing is noticed before sending, a new connection is opened instead

    assert server.actions().count("CreateSnapshot") <= 1


def test_a_slow_create_ends_when_its_time_is_over_and_is_ambiguous(authority: Authority) -> None:
    done = threading.Event()

    def slow(received: Received) -> Reply:
        if received.action == "CreateSnapshot":
            done.wait(10)
        return cooperative(received)

    with authority.serve(slow) as server:
        store = snapshots(server, authority)
        store.prepare([A])
        try:
            with pytest.raises(CloudError) as failed:
                store.create(A, timeout_s=0.2)
        finally:
            done.set()

    assert failed.value.ambiguous


def test_labels_go_to_every_snapshot_ten_at_a_time(authority: Authority) -> None:
    tags = {f"key-{n}": f"value-{n}" for n in range(12)}
    with authority.serve(lambda _: answer()) as server:
        snapshots(server, authority).label(["snap-1", "snap-2"], tags)

    assert set(server.actions()) == {"ModifyResourceTags"}
    got: dict[str, dict[str, str]] = {}
    for received in server.received:
        assert len(received.params["ReplaceTags"]) <= 10
        pairs = {tag["TagKey"]: tag["TagValue"] for tag in received.params["ReplaceTags"]}
        got.setdefault(received.params["Resource"], {}).update(pairs)
    assert got == {f"qcs::cvm:ap-guangzhou:uin/:snapshot/snap-{n}": tags for n in (1, 2)}


def test_a_label_that_is_refused_is_an_error(authority: Authority) -> None:
    refused = answer(Error={"Code": "UnauthorizedOperation", "Message": "tag:ModifyResourceTags"})
    with authority.serve(lambda _: refused) as server, pytest.raises(CloudError, match="tag:ModifyResourceTags"):
        snapshots(server, authority).label(["snap-1"], {"k": "v"})


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


PAUSES_S = st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0])


@given(batches=st.lists(st.tuples(st.integers(1, 25), PAUSES_S, PAUSES_S, st.booleans()), max_size=20))
def test_no_window_ever_holds_more_calls_than_allowed(batches: list[tuple[int, float, float, bool]]) -> None:
    """However long a batch waits for its hold, and whether or not the hold is had."""
    clock = SteppedClock()
    limit = RateLimit(clock, count=20, window_s=1.0)
    sent_at: list[float] = []
    for count, waiting_s, pause_s, had in batches:
        limit.take(count)
        clock.now_s += waiting_s
        if had:
            sent_at += [clock.now_s] * count
            for _ in range(count):
                limit.used()
        else:
            limit.give_back(count)
        clock.now_s += pause_s

    for start in set(sent_at):
        in_window = sum(start <= moment < start + 0.999 for moment in sent_at)
        assert in_window <= max(20, *(count for count, *_ in batches))


def test_permits_within_the_limit_cost_no_time() -> None:
    clock = SteppedClock()
    RateLimit(clock, count=20).take(20)

    assert clock.slept == []


def test_permits_that_wait_for_their_hold_are_not_lent_to_others(authority: Authority) -> None:
    """Two targets at once: the second one's permits come when the first has used its own, or has given up."""
    waiting, got = threading.Event(), threading.Event()

    class Noticed(SteppedClock):
        def sleep(self, seconds: float) -> None:
            waiting.set()

    limit = RateLimit(Noticed(), count=2)
    with authority.serve(cooperative) as server:
        cloud = Cloud(cloud_settings(server.port, authority.pem))
        first = CbsSnapshots(cloud, limit)
        first.prepare([A, B])

        def take() -> None:
            limit.take(1)
            got.set()

        second = threading.Thread(target=take, daemon=True)
        second.start()
        try:
            assert waiting.wait(5)
            assert not got.is_set()
        finally:
            first.close()
            second.join(5)

    assert got.is_set()

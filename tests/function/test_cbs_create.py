"""Snapshots as they are created: prepared for, sent once and within the rate limit, on a real TLS connection."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from quiesce.adapters.cbs import CbsSnapshots
from quiesce.adapters.rate_limit import RateLimit
from quiesce.adapters.tencent import Cloud
from quiesce.adapters.warm import CONNECTION_FRESH_S, SIGHT_FRESH_S, Shared
from quiesce.errors import CloudError
from quiesce.model import Intent
from tests.function.cbs_cloud import A, B, SteppedClock, answer, cooperative, snapshots
from tests.function.loopback import HANG_UP, Authority, Received, Reply
from tests.function.settings_for import cloud_settings


def test_create_uses_the_very_connection_that_connect_opened_for_its_disk(authority: Authority) -> None:
    with authority.serve(cooperative) as server:
        store = snapshots(server, authority)
        store.connect([A, B])
        opened = server.connections
        with ThreadPoolExecutor(max_workers=2) as pool:
            ids = list(pool.map(lambda intent: store.create(intent, timeout_s=1.0), [A, B]))

    assert ids == ["snap-for-disk-aaaa1111", "snap-for-disk-bbbb2222"]
    assert opened == server.connections == 3, "one per disk, and the reader's"
    looked = [r for r in server.received if r.action == "DescribeDisks" and "DiskIds" in r.params]
    warmed = {r.params["DiskIds"][0]: r.connection for r in looked}
    used = {r.params["DiskId"]: r.connection for r in server.received if r.action == "CreateSnapshot"}
    assert used == warmed


def test_the_next_target_uses_the_connections_of_the_last_and_what_a_look_at_its_disks_has_shown(
    authority: Authority,
) -> None:
    with authority.serve(cooperative) as server:
        clock, cloud = SteppedClock(), Cloud(cloud_settings(server.port, authority.pem))
        shared = Shared(cloud, clock)
        first, second = (CbsSnapshots(cloud, RateLimit(clock), shared) for _ in range(2))
        first.find([A, B])
        first.connect([A])
        first.create(A, timeout_s=1.0)
        asked = len(server.received)
        second.connect([B])
        assert len(server.received) == asked, "nothing had to be asked"
        second.create(B, timeout_s=1.0)
        used = [received.connection for received in server.received if received.action == "CreateSnapshot"]
        assert used[0] == used[1]
        clock.now_s += CONNECTION_FRESH_S + SIGHT_FRESH_S
        first.connect([A])

    assert server.actions()[asked + 1 :] == ["DescribeSnapshots", "DescribeDisks"], "what is old is not relied upon"


def test_what_a_look_has_shown_to_be_underway_refuses_the_target(authority: Authority) -> None:
    creating = {"SnapshotId": "snap-1", "SnapshotName": "by hand", "DiskId": B.disk_id, "SnapshotState": "CREATING"}

    def underway(received: Received) -> Reply:
        listing = received.action == "DescribeSnapshots"
        return answer(TotalCount=1, SnapshotSet=[creating]) if listing else cooperative(received)

    with authority.serve(underway) as server:
        store = snapshots(server, authority)
        assert store.find([A, B]) == {}
        store.connect([A])
        with pytest.raises(CloudError, match="disk-bbbb2222 is being snapshotted already: snap-1"):
            store.connect([B])


def test_a_call_that_the_cloud_refuses_for_its_limit_makes_the_others_fewer(authority: Authority) -> None:
    def throttled(received: Received) -> Reply:
        creating = received.action == "CreateSnapshot"
        return answer(Error={"Code": "RequestLimitExceeded", "Message": ""}) if creating else cooperative(received)

    clock = SteppedClock()
    limit = RateLimit(clock, count=1, window_s=1.0)
    with authority.serve(throttled) as server:
        store = CbsSnapshots(Cloud(cloud_settings(server.port, authority.pem)), limit)
        store.connect([A])
        store.admit([A])
        began_s = clock.now_s
        with pytest.raises(CloudError):
            store.create(A, timeout_s=1.0)
        limit.take(1)

    assert clock.now_s - began_s >= 1.5


def test_connecting_creates_nothing(authority: Authority) -> None:
    with authority.serve(cooperative) as server:
        snapshots(server, authority).connect([A, B])

    assert set(server.actions()) == {"DescribeDisks", "DescribeSnapshots", "DescribeSnapshotOverview"}


def test_a_disk_that_has_gone_is_noticed_before_the_hold(authority: Authority) -> None:
    def gone(received: Received) -> Reply:
        return answer(TotalCount=0, DiskSet=[]) if received.action == "DescribeDisks" else cooperative(received)

    with authority.serve(gone) as server, pytest.raises(CloudError) as failed:
        snapshots(server, authority).connect([A])

    assert (failed.value.code, failed.value.ambiguous) == ("InvalidDiskId.NotFound", False)


def test_a_disk_that_somebody_is_snapshotting_is_refused_before_the_hold_and_keeps_no_permit(authority: Authority) -> None:
    scheduled = {"SnapshotId": "snap-policy", "SnapshotName": "asp-1", "DiskId": B.disk_id, "SnapshotState": "CREATING"}

    def underway(received: Received) -> Reply:
        if received.action == "DescribeSnapshots":
            return answer(TotalCount=1, SnapshotSet=[{**scheduled, "Percent": 35}])
        return cooperative(received)

    rate_limit = RateLimit(SteppedClock(), count=2)
    with authority.serve(underway) as server, pytest.raises(CloudError) as failed:
        CbsSnapshots(Cloud(cloud_settings(server.port, authority.pem)), rate_limit).connect([A, B])

    assert (failed.value.code, failed.value.ambiguous) == ("InvalidDisk.SnapshotCreating", False)
    assert "disk-bbbb2222 is being snapshotted already: snap-policy (asp-1, 35 %)" in str(failed.value)
    filters = {one["Name"]: one["Values"] for one in server.received[0].params["Filters"]}
    assert filters == {"disk-id": [A.disk_id, B.disk_id], "snapshot-state": ["CREATING"]}
    rate_limit.take(2)


def test_create_sends_name_and_deadline_and_no_tags(authority: Authority) -> None:
    expiring = Intent(A.disk_id, A.name, "2026-11-24T03:00:00+00:00")
    with authority.serve(cooperative) as server:
        store = snapshots(server, authority)
        store.connect([expiring, B])
        store.create(expiring, timeout_s=1.0)
        store.create(B, timeout_s=1.0)

    assert [received.params for received in server.received if received.action == "CreateSnapshot"] == [
        {"DiskId": A.disk_id, "SnapshotName": A.name + "-pending", "Deadline": "2026-11-24T03:00:00+00:00"},
        {"DiskId": B.disk_id, "SnapshotName": B.name + "-pending"},
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
        store.connect([A])
        with pytest.raises(CloudError) as failed:
            store.create(A, timeout_s=1.0)

    assert (failed.value.code, failed.value.ambiguous) == (code, ambiguous)
    assert server.actions().count("CreateSnapshot") == 1


def test_create_is_sent_once_even_when_the_warm_connection_was_closed_meanwhile(authority: Authority) -> None:
    with authority.serve(cooperative) as server:
        store = snapshots(server, authority)
        store.connect([A])
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
        store.connect([A])
        try:
            with pytest.raises(CloudError) as failed:
                store.create(A, timeout_s=0.2)
        finally:
            done.set()

    assert failed.value.ambiguous


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
        first.admit([A, B])

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

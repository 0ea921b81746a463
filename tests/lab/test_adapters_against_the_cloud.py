"""The function's adapters against the lab's cloud, which checks signatures, shapes and limits by its own code."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from quiesce.adapters.cbs import CbsSnapshots
from quiesce.adapters.cls import RunRecords
from quiesce.adapters.cvm import find_instances
from quiesce.adapters.disks import find_disks
from quiesce.adapters.rate_limit import RateLimit
from quiesce.adapters.tencent import Cloud
from quiesce.errors import CloudError
from quiesce.model import Intent, Snapshot
from quiesce.naming import pending
from quiesce.plan import Disk, Instance, make_plans
from quiesce.policies import Policy, TagSelector, Targets
from quiesce.request import Request, Trigger
from quiesce.settings import CloudSettings, Credentials
from quiesce_lab.cloud import faults
from tests.lab.cloud_world import ALLOWED_EVERY_S, REGION, SECRET_ID, SECRET_KEY, TOKEN, Lab, running_lab
from tests.waiting import wait_until

DISK = "disk-aaaa1111"
OTHER = "disk-bbbb2222"
INTENT = Intent(DISK, f"quiesce-p-0123456789-{DISK}")
OTHER_INTENT = Intent(OTHER, f"quiesce-p-0123456789-{OTHER}")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        lab.cloud.world.add_instance("ins-00lycyy6", "10.0.0.7", {"quiesce": "nightly"})
        lab.disk(DISK, instance_id="ins-00lycyy6")
        lab.disk(OTHER, instance_id="ins-00lycyy6")
        yield lab


def cloud_of(lab: Lab, *, secret_key: str = SECRET_KEY) -> Cloud:
    return Cloud(
        CloudSettings(
            region=REGION,
            credentials=Credentials(SECRET_ID, secret_key, TOKEN),
            endpoint=lab.endpoint,
            root_domain=None,
            ca=lab.ca_file,
            timeout_s=2.0,
        )
    )


def store_of(lab: Lab) -> CbsSnapshots:
    return CbsSnapshots(cloud_of(lab), RateLimit(time))


def failure_of_create(lab: Lab, intent: Intent = INTENT) -> CloudError:
    store = store_of(lab)
    store.connect([intent])
    with pytest.raises(CloudError) as failed:
        store.create(intent, timeout_s=1.0)
    return failed.value


def create(lab: Lab, intent: Intent = INTENT) -> str:
    store = store_of(lab)
    store.connect([intent])
    return store.create(intent, timeout_s=1.0)


def found_in_the_end(lab: Lab) -> Mapping[str, Snapshot]:
    store = store_of(lab)
    return wait_until(lambda: store.find([INTENT]), every_s=ALLOWED_EVERY_S)


def names_of(lab: Lab) -> list[str]:
    return [snapshot.name for snapshot in lab.cloud.world.estate().snapshots.values()]


def test_what_is_prepared_created_labelled_is_found_again_with_its_tags(lab: Lab) -> None:
    store = store_of(lab)
    assert store.find([INTENT, OTHER_INTENT]) == {}

    store.connect([INTENT, OTHER_INTENT])
    with ThreadPoolExecutor() as pool:
        ids = list(pool.map(lambda intent: store.create(intent, timeout_s=1.0), [INTENT, OTHER_INTENT]))
    early = wait_until(lambda: store.find([INTENT, OTHER_INTENT]), every_s=ALLOWED_EVERY_S)
    assert early[DISK].name == pending(INTENT.name)
    names = dict(zip(ids, (INTENT.name, OTHER_INTENT.name), strict=True))
    store.label(names, {f"key-{n}": "value" for n in range(12)} | {"quiesce:level": "application"})
    found = wait_until(lambda: store.find([INTENT, OTHER_INTENT]), every_s=ALLOWED_EVERY_S)

    assert [found[DISK].snapshot_id, found[OTHER].snapshot_id] == ids
    assert found[DISK].name == INTENT.name
    assert found[DISK].tags["quiesce:level"] == "application"
    assert len(found[OTHER].tags) == 13


def test_a_password_that_somebody_keeps_for_all_hosts_does_not_take_the_place_of_the_signature(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.touch(mode=0o600)
    netrc.write_text("default login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert store_of(lab).find([INTENT]) == {}


def test_a_snapshot_is_seen_on_its_way_to_normal(lab: Lab) -> None:
    store = store_of(lab)
    create(lab)
    early = wait_until(lambda: store.find([INTENT]), every_s=ALLOWED_EVERY_S)[DISK]
    lab.clock.passed_s = 60.0  # within the five minutes that a signature may be off
    late = store.find([INTENT])[DISK]

    assert (early.state, late.state, late.percent) == ("CREATING", "NORMAL", 100)
    assert early.percent < 100


def test_the_earliest_expiry_of_a_policy_is_taken(lab: Lab) -> None:
    policy = Policy(targets=Targets(instances=("ins-00lycyy6",)), expire_after_days=1, name_prefix="p")
    request = Request("nightly", "20261123t0200-4f1c9a0b7d", Trigger.TIMER, "r")
    cloud = cloud_of(lab)
    instances = find_instances(cloud, policy.targets)
    disks = find_disks(cloud, [instance.instance_id for instance in instances])
    plans, refusals = make_plans(request, policy, instances, disks, datetime.now(timezone(timedelta(hours=8))))

    assert refusals == ()
    for intent in plans[0].intents:
        create(lab, intent)

    deadlines = [snapshot.deadline_s for snapshot in lab.cloud.world.estate().snapshots.values()]
    assert len(deadlines) == 2
    assert all(deadline is not None and 86_400 < deadline - time.time() < 90_001 for deadline in deadlines)


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        pytest.param(faults.lost_response(), 1, id="lost response"),
        pytest.param(faults.error_after_success(), 1, id="error after success"),
        pytest.param(faults.null_snapshot_id(), 1, id="null id"),
        pytest.param(faults.not_json(), 1, id="not JSON"),
        pytest.param(faults.slow(3.0), 1, id="slow"),
        pytest.param(faults.http_500(), 0, id="HTTP 500"),
    ],
)
def test_a_create_whose_outcome_is_unknown_is_ambiguous_sent_once_and_found_by_name_if_it_worked(
    lab: Lab, fault: faults.Fault, made: int
) -> None:
    lab.cloud.faults.set("CreateSnapshot", fault)

    failed = failure_of_create(lab)

    assert failed.ambiguous
    if made:
        assert found_in_the_end(lab)[DISK].name == pending(INTENT.name)
    assert len(lab.cloud.record.of("CreateSnapshot")) == 1
    assert names_of(lab) == [pending(INTENT.name)] * made


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        pytest.param(faults.throttled(), "RequestLimitExceeded", id="throttled"),
        pytest.param(faults.refuse("InsufficientSnapshotQuota"), "InsufficientSnapshotQuota", id="quota"),
    ],
)
def test_a_create_that_was_refused_is_not_ambiguous(lab: Lab, fault: faults.Fault, code: str) -> None:
    lab.cloud.faults.set("CreateSnapshot", fault)

    failed = failure_of_create(lab)

    assert (failed.code, failed.ambiguous) == (code, False)
    assert names_of(lab) == []


def test_a_second_snapshot_of_a_disk_that_is_creating_one_is_refused(lab: Lab) -> None:
    create(lab)
    found_in_the_end(lab)
    with pytest.raises(CloudError, match=f"{DISK} is being snapshotted already") as refused:
        store_of(lab).connect([INTENT])

    assert refused.value.code == "InvalidDisk.SnapshotCreating"
    assert len(lab.cloud.record.of("CreateSnapshot")) == 1


def test_reads_get_through_throttling_and_lost_answers(lab: Lab) -> None:
    lab.cloud.faults.set("DescribeSnapshots", faults.throttled())
    lab.cloud.faults.set("DescribeSnapshots", faults.lost_response())

    assert store_of(lab).find([INTENT]) == {}
    assert len(lab.cloud.record.of("DescribeSnapshots")) == 3


def test_twenty_disks_at_once_twice_stay_within_the_rate_limit_of_the_cloud(lab: Lab) -> None:
    lab.cloud.settings.rate_limit = {"DescribeDisks": 100}
    intents = [Intent(lab.disk(f"disk-{n:08d}"), f"quiesce-p-0123456789-disk-{n:08d}") for n in range(40)]
    limit = RateLimit(time)
    for batch in (intents[:20], intents[20:]):
        store = CbsSnapshots(cloud_of(lab), limit)
        store.connect(batch)
        store.admit(batch)
        with ThreadPoolExecutor(max_workers=20) as pool:
            list(pool.map(lambda intent, store=store: store.create(intent, timeout_s=2.0), batch))

    assert len(names_of(lab)) == 40


def test_instances_and_disks_are_found_as_they_are(lab: Lab) -> None:
    lab.disk("disk-cccc3333", instance_id="ins-00lycyy6", usage="SYSTEM_DISK")
    lab.disk("disk-dddd4444")
    tagged = Targets(tag=TagSelector(key="quiesce", values=("nightly",)))

    instances = find_instances(cloud_of(lab), tagged)
    disks = find_disks(cloud_of(lab), ["ins-00lycyy6"])

    assert instances == (Instance("ins-00lycyy6", "RUNNING", "10.0.0.7"),)  # with a CBS system disk
    assert find_instances(cloud_of(lab), Targets(instances=("ins-00lycyy6", "ins-99999999"))) == instances
    attached = {
        "instance_id": "ins-00lycyy6",
        "state": "ATTACHED",
        "snapshot_ability": True,
        "shareable": False,
        "size_gib": 20,
    }
    assert {disk.disk_id: disk for disk in disks} == {
        disk_id: Disk(disk_id, system=disk_id == "disk-cccc3333", **attached)  # type: ignore[arg-type]
        for disk_id in (DISK, OTHER, "disk-cccc3333")
    }


def test_a_wrong_key_is_a_refusal(lab: Lab) -> None:
    with pytest.raises(CloudError) as failed:
        find_disks(cloud_of(lab, secret_key="another key"), ["ins-00lycyy6"])

    assert (failed.value.code, failed.value.ambiguous) == ("AuthFailure.SignatureFailure", False)


def test_the_run_record_can_be_searched_by_its_fields(lab: Lab) -> None:
    lab.cloud.world.add_topic("topic-1")
    now_ms = int(time.time() * 1000)
    records = [{"run_id": f"r-{n}", "level": "application", "snapshots": {DISK: f"snap-{n}"}} for n in (1, 2)]

    RunRecords(cloud_of(lab), "topic-1").write(records, now_ms)

    query = {"TopicId": "topic-1", "From": now_ms - 1, "To": now_ms + 1, "QueryString": "run_id:r-2"}
    (line,) = wait_until(lambda: lab.call("cls", "SearchLog", query)["Results"], every_s=ALLOWED_EVERY_S)
    content = {"run_id": "r-2", "level": "application", "snapshots": f'{{"{DISK}":"snap-2"}}'}
    assert json.loads(line["LogJson"]) == content
    assert line["Time"] == now_ms


def test_a_record_for_a_topic_that_is_not_there_is_an_error(lab: Lab) -> None:
    with pytest.raises(CloudError, match="TopicNotExist"):
        RunRecords(cloud_of(lab), "topic-9").write([{"run_id": "r-1"}], 1)

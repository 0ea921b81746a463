"""A run of many instances through workers of the real function: each made once, whatever SCF delivers twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from bench.fleet.behaviour import Kind
from bench.fleet.stage import Fleet, fleet
from msgspec.structs import replace

from quiesce import fleet as batches
from quiesce.certificate import SigningKey
from quiesce_lab import deployment
from quiesce_lab.scf import OK, RAISED
from tests.function.fake_world import plan_for
from tests.waiting import wait_until

pytestmark = pytest.mark.lab
COUNT, LIMIT_S = 24, 150.0


def fire(here: Fleet) -> None:
    assert here.function.invoke(deployment.timer_event()).status == OK
    assert here.queue.wait(LIMIT_S), "not every batch came to its end"


def disks_made(here: Fleet) -> Counter[str]:
    return Counter(snapshot.disk_id for snapshot in here.site.cloud.world.estate().snapshots.values())


def living(here: Fleet) -> set[str]:
    return {one.disk_id for one in here.instances if one.kind in (Kind.WELL, Kind.SLOW)}


def test_every_batch_comes_twice_and_every_disk_is_made_once(tmp_path: Path) -> None:
    with fleet(tmp_path / "lab", COUNT, share_twice=1.0, share_killed=0.0, seed=1) as here:
        fire(here)

        assert disks_made(here) == Counter(living(here))
        assert len(here.queue.deliveries) > len({one.event["number"] for one in here.queue.deliveries})


def one_batch_of_all(here: Fleet, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, object]:
    """What the dispatcher would send if the account had one call a second."""
    monkeypatch.setattr(batches, "CALLS_PER_S", 1)
    run_id = "20261126t0300-0123456789"
    plans = [
        replace(plan_for(one.disk_id, run_id=run_id), instance_id=one.instance_id, address=one.address)
        for one in here.instances
    ]
    key_id, secret = here.certificate_key
    key = SigningKey(key_id, secret.encode())
    (batch,) = batches.split(plans, "timer", time_s=800.0, key=key, quota_seen=True)
    return batches.as_event(batch)


def test_a_delivery_that_comes_later_sees_that_the_first_is_at_work_and_leaves_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fleet(tmp_path / "lab", 14, share_twice=0.0, share_killed=0.0, seed=1) as here:
        event = one_batch_of_all(here, monkeypatch)
        first = here.function.start(event)
        wait_until(lambda: disks_made(here).total() >= 2, 30)
        later = here.function.start(event)

        assert later.wait().status == RAISED
        assert first.wait().status == OK
        assert disks_made(here) == Counter(living(here))

"""A run of many instances through workers of the real function: each made once, whatever SCF delivers twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from bench.fleet.behaviour import Kind
from bench.fleet.stage import Fleet, fleet

from quiesce_lab import deployment
from quiesce_lab.scf import OK

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

"""The quota is known before anybody is held, and what cannot be known stops nobody."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesce.adapters.logs import JsonLog
from quiesce.errors import CloudError
from quiesce.model import Intent
from quiesce.wiring import Wiring
from quiesce_lab.cloud.faults import refuse
from tests.lab.cloud_world import Lab, running_lab
from tests.lab.estates import BARE, DISK, add, populate, settings_for

INTENTS = [
    Intent(DISK, "quiesce-nightly-0123456789-aaaa1111", None),
    Intent(BARE, "quiesce-nightly-0123456789-bbbb2222", None),
]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        populate(lab, tmp_path)
        yield lab


def wiring(lab: Lab, tmp_path: Path, quota: int | None = None) -> Wiring:
    return Wiring(settings_for(lab, tmp_path, snapshot_quota=quota), JsonLog(io.StringIO(), common={}, hidden=()))


def fill(lab: Lab, count: int) -> None:
    for number in range(count):
        add(lab, number, 1.0)


@pytest.mark.parametrize(("there", "fits"), [(64 + 2 * 64 - 2, True), (64 + 2 * 64 - 1, False)])
def test_a_set_that_the_documented_quota_does_not_take_is_refused_before_the_hold(
    lab: Lab, tmp_path: Path, there: int, fits: bool
) -> None:
    fill(lab, there)
    if fits:
        wiring(lab, tmp_path).snapshots().connect(INTENTS)
        return
    with pytest.raises(CloudError, match="takes 1 more snapshots, and this set has 2") as refused:
        wiring(lab, tmp_path).snapshots().connect(INTENTS)
    assert (refused.value.code, refused.value.ambiguous) == ("InsufficientSnapshotQuota", False)
    assert lab.cloud.record.of("CreateSnapshot") == ()


def test_all_sets_of_a_run_share_what_is_left_and_it_is_asked_for_once(lab: Lab, tmp_path: Path) -> None:
    run = wiring(lab, tmp_path, quota=3)
    run.snapshots().connect(INTENTS)
    with pytest.raises(CloudError, match="takes 1 more"):
        run.snapshots().connect(INTENTS)
    assert len(lab.cloud.record.of("DescribeSnapshotOverview")) == 1


def test_a_quota_of_nought_is_never_looked_at(lab: Lab, tmp_path: Path) -> None:
    wiring(lab, tmp_path, quota=0).snapshots().connect(INTENTS)
    assert lab.cloud.record.of("DescribeSnapshotOverview") == ()


def test_a_role_that_may_not_look_at_it_is_stopped_by_nothing(lab: Lab, tmp_path: Path) -> None:
    lab.cloud.faults.set("DescribeSnapshotOverview", refuse("UnauthorizedOperation"), times=None)
    fill(lab, 250)
    wiring(lab, tmp_path).snapshots().connect(INTENTS)

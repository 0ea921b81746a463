"""A fixed part of the fault matrix: every kind of fault once, on every side. All of it: ``make faults``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from quiesce_lab import needs
from quiesce_lab.machine import default_state_dir
from tests.faults.case import run_case
from tests.faults.matrix import chosen, insist_on_the_recorded_run
from tests.faults.outside import State, state_of
from tests.faults.rig import Rig, rig

pytestmark = pytest.mark.lab

SAMPLE = (
    "daemon preflush before disk_full",
    "daemon arm before no_files",
    "daemon lock during hang",
    "daemon lock during kill",
    "daemon freeze during too_slow",
    "daemon freeze after memory",
    "daemon witness after clock_back",
    "daemon witness 2 before restart",
    "daemon thaw before clock_forward",
    "daemon thaw before memory",
    "daemon thaw during slow",
    "daemon unlock during memory",
    "function quiesce after kill",
    "function create during memory_limit",
    "function create during second_delivery",
    "function release before reset",
    "function record after disk_full",
    "cloud CreateSnapshot before throttled",
    "cloud CreateSnapshot after null_snapshot_id",
    "cloud CreateSnapshot after error_after_success",
    "cloud DescribeSnapshots after not_json",
    "wire /v1/quiesce after http_500",
    "wire /v1/release during reset",
    "wire /v1/release before cut",
)


GROUP_SAMPLE = (
    "cloud CreateSnapshotGroup before refuse",
    "cloud CreateSnapshotGroup after lost_response",
    "cloud CreateSnapshotGroup after stuck_at",
    "cloud DescribeSnapshotGroups after not_json",
)


@pytest.fixture(scope="module")
def here() -> Iterator[Rig]:
    with _rig("sample", "127.77.0.30", grouped=False) as made:
        yield made


@pytest.fixture(scope="module")
def with_a_group() -> Iterator[Rig]:
    with _rig("sample-group", "127.77.0.31", grouped=True) as made:
        yield made


@contextlib.contextmanager
def _rig(name: str, address: str, *, grouped: bool) -> Iterator[Rig]:
    look = needs.look()
    if not look.met:
        pytest.skip(f"the lab with real disks needs: {look.reason}")
    with rig(default_state_dir().with_name(f"{default_state_dir().name}-{name}"), address, grouped=grouped) as made:
        made.stage.host.set_durability(2)
        insist_on_the_recorded_run(made)
        yield made


@pytest.fixture(scope="module")
def before(here: Rig) -> State:
    return state_of(here.stage.host)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_fault_leaves_nothing_stuck_changed_doubled_or_mislabelled(here: Rig, before: State, name: str) -> None:
    (case,) = (case for case in chosen(name) if str(case) == name)
    assert run_case(here, case, before).problems == []


@pytest.mark.parametrize("name", GROUP_SAMPLE)
def test_a_fault_of_a_group_leaves_nothing_stuck_changed_doubled_or_mislabelled(with_a_group: Rig, name: str) -> None:
    (case,) = (case for case in chosen(name) if str(case) == name)
    assert run_case(with_a_group, case, state_of(with_a_group.stage.host)).problems == []

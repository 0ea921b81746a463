"""A delivery that finds what another has made: is that one at work, or gone?"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from quiesce.examine import grows
from quiesce.model import Snapshot
from quiesce.ports import World
from tests.function.fake_instance import FakeClock
from tests.function.fake_world import Cut, FakeWorld, plan_for

PLAN = plan_for("disk-a", "disk-b")


def make(here: FakeWorld, disk_id: str) -> None:
    name = next(intent.name for intent in PLAN.intents if intent.disk_id == disk_id)
    here.cloud.cuts.append(Cut(Snapshot(f"snap-{disk_id}", name, disk_id, "NORMAL", 100), None))


def world_where(here: FakeWorld, meanwhile: str) -> World:
    """While anybody waits, another delivery makes this one."""

    class Meanwhile(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if meanwhile:
                make(here, meanwhile)

    return replace(here.world, clock=Meanwhile())


@pytest.mark.parametrize(
    ("there", "meanwhile", "expected"),
    [
        pytest.param((), "disk-a", True, id="it begins"),
        pytest.param(("disk-a",), "disk-b", True, id="it goes on"),
        pytest.param(("disk-a",), "", False, id="it is gone"),
        pytest.param(("disk-a", "disk-b"), "", None, id="nothing is left to see it by"),
    ],
)
def test_another_delivery_is_seen_by_what_it_makes(there: tuple[str, ...], meanwhile: str, expected: bool | None) -> None:
    here = FakeWorld(disks=("disk-a", "disk-b"))
    for disk_id in there:
        make(here, disk_id)

    assert grows(world_where(here, meanwhile), PLAN.intents, 4.0) is expected

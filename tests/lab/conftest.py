"""One stage for all lab tests of a process: bringing it up costs seconds, and every test leaves it as it found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesce_lab import needs
from quiesce_lab.machine import default_state_dir
from quiesce_lab.stage import Stage, stage

HOLD_LIMIT_S = 4.0
API_TIMEOUT_S = 2.0
EVENT_BUS = "eb-l65vlc2u"


@pytest.fixture(scope="session")
def state_dir() -> Path:
    look = needs.look()
    if not look.met:
        pytest.skip(f"the lab with real disks needs: {look.reason}")
    return default_state_dir().with_name(default_state_dir().name + "-tests")


@pytest.fixture(scope="session")
def shared_stage(state_dir: Path) -> Iterator[Stage]:
    limits = {"acquire_limit_s": "1.0", "hold_limit_s": str(HOLD_LIMIT_S)}
    variables = {"QUIESCE_API_TIMEOUT_S": str(API_TIMEOUT_S), "QUIESCE_HOOK_TIMEOUT_S": "3"}
    variables["QUIESCE_EVENT_BUS"] = EVENT_BUS
    with stage(state_dir, variables=variables, policy=limits) as here:
        here.site.cloud.world.add_event_bus(EVENT_BUS)
        here.host.load.start(1000)
        here.host.load.wait_until_acked(100)
        yield here


@pytest.fixture
def lab(shared_stage: Stage) -> Iterator[Stage]:
    """The stage, with no faults set and the record empty; whatever a test did to the daemon is undone."""
    yield shared_stage
    shared_stage.site.cloud.faults.clear()
    shared_stage.host.set_durability(1)
    if not shared_stage.daemon.process.running:
        shared_stage.daemon.start()

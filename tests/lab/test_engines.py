"""Every layout of the lab: one snapshot by the function under load, restored, compared and checked by its own tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from quiesce_lab.layouts import LAYOUTS
from quiesce_lab.stage import stage
from quiesce_lab.trial import by_function, run_trial

pytestmark = pytest.mark.lab
EXPECTED = {
    "two-disks": {"orders": "backup_lock"},
    "postgres": {"ledger": "freeze"},
    "redis": {"cache": "aof"},
    "sqlite": {"sessions": ""},
    "mixed": {"orders": "backup_lock", "ledger": "freeze", "cache": "aof", "sessions": ""},
}


@pytest.mark.parametrize("layout", EXPECTED)
def test_nothing_is_lost_and_the_position_is_the_certified_one(state_dir: Path, layout: str) -> None:
    own = state_dir.with_name(f"{state_dir.name}-{layout}")
    with stage(own, layout=LAYOUTS[layout], address="127.77.3.2") as here:
        for application in here.host.applications:
            application.load.start(500)
            application.relax()
        trial = run_trial(here.host, by_function(here.fire))
    said = trial.taken.said
    assert said["level"] == "application", said["reasons"]
    assert (said["modes"], said["freeze"]) == (EXPECTED[layout], "all")
    assert all(verdict.consistent for verdict in trial.verdicts.values()), trial.verdicts
    for name, verdict in trial.verdicts.items():
        for key in set(verdict.position) & {"gtid", "timeline"}:
            assert verdict.position[key] == said["positions"][name][key]


def test_one_disk_whose_only_writer_is_locked_is_not_frozen(state_dir: Path) -> None:
    own = state_dir.with_name(f"{state_dir.name}-unfrozen")
    settings = "only_applications_write = true"
    with stage(own, daemon_settings=settings, address="127.77.3.3") as here:
        here.host.set_durability(0)
        here.host.load.start(500)
        trial = run_trial(here.host, by_function(here.fire))
    said = trial.taken.said
    assert (said["level"], said["freeze"]) == ("application", "none"), said["reasons"]
    assert trial.verdict.consistent, trial.verdict
    assert trial.verdict.position["gtid"] == said["gtid"]

"""A MySQL server on two disks, under load: one snapshot by the function, restored, compared, and asked where it stands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from quiesce_lab.engines.mariadb_app import DATA, REDO
from quiesce_lab.engines.mysql import MySQLApplication
from quiesce_lab.host import Layout
from quiesce_lab.machine import default_state_dir
from quiesce_lab.stage import Stage, stage
from quiesce_lab.trial import by_function, run_trial

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Stage]:
    own = default_state_dir().with_name("quiesce-lab-mysql-tests")
    with stage(own, layout=Layout((DATA, REDO), (MySQLApplication,)), address="127.77.3.5") as here:
        here.host.load.start(500)
        here.host.load.wait_until_acked(200)
        yield here


@pytest.mark.parametrize("durability", [0, 1, 2])
def test_nothing_is_lost_and_the_restored_server_stands_where_the_certificate_says(lab: Stage, durability: int) -> None:
    lab.host.set_durability(durability)
    trial = run_trial(lab.host, by_function(lab.fire))
    said = trial.taken.said
    assert said["level"] == "application", said["reasons"]
    assert (said["modes"], said["freeze"]) == ({"orders": "backup_lock"}, "all")
    assert trial.verdict.consistent, trial.verdict
    assert trial.verdict.position["gtid"] == said["gtid"] != ""

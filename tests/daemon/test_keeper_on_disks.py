"""The keeper with its real guardian, kernel and disks."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesced.expedite import RCU_EXPEDITED
from quiesced.keeper import Keeper
from tests.daemon.fakes import check, config, quiesce, release
from tests.daemon.loopdisks import LoopDisks, loop_disks, needs_root
from tests.daemon.test_guardian_on_disks import Writer, daemon, mount_points
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_root]
DISKS = ("disk-0", "disk-1", "disk-2")


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopDisks]:
    with loop_disks(tmp_path_factory.mktemp("disks"), ("ext4", "xfs", "btrfs")) as made:
        yield made


@pytest.fixture
def keeper(disks: LoopDisks, tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(config(tmp_path, by_id_dir=disks.by_id_dir, expedite=True), [])
    keeper.heal()
    yield keeper
    keeper.close()


def test_every_filesystem_of_the_disks_stands_still_until_the_release(keeper: Keeper, disks: LoopDisks) -> None:
    before = RCU_EXPEDITED.read_text() if RCU_EXPEDITED.exists() else ""
    assert keeper.check(check(disks=DISKS)).ready
    answer = keeper.quiesce(quiesce(disks=DISKS))
    assert answer.witness is not None
    assert [seen.frozen for seen in answer.witness.filesystems] == [True, True, True]
    writer = Writer(mount_points(disks))
    assert not writer.done_s
    told = keeper.release(release())
    writer.last_s()
    assert (told.state, told.held_without_gap, told.reason) == ("released", True, "")
    assert not any(disks.is_frozen(number) for number in range(3))
    assert (RCU_EXPEDITED.read_text() if RCU_EXPEDITED.exists() else "") == before


def test_only_the_disks_that_were_asked_for_stand_still(keeper: Keeper, disks: LoopDisks) -> None:
    keeper.quiesce(quiesce(disks=("disk-1",)))
    Writer([disks.disks[0].mount_point]).last_s()
    assert keeper.release(release()).held_without_gap


def test_a_thaw_by_hand_is_a_gap(keeper: Keeper, disks: LoopDisks) -> None:
    keeper.quiesce(quiesce(disks=DISKS))
    os.system(f"fsfreeze --unfreeze {disks.disks[2].mount_point}")
    told = keeper.release(release())
    assert (told.state, told.held_without_gap) == ("expired", False)
    assert str(disks.disks[2].mount_point) in told.reason
    assert not any(disks.is_frozen(number) for number in range(3))


def test_a_daemon_that_died_with_its_guardian_is_healed_by_the_next(disks: LoopDisks, tmp_path: Path) -> None:
    with daemon(tmp_path, disks, 30.0) as holding:
        guardian_pid, _ = holding.holds()
        holding.send(signal.SIGSTOP)  # so that it does not let go when its guardian dies
        os.kill(guardian_pid, signal.SIGKILL)
        holding.send(signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{guardian_pid}").exists())
    assert disks.is_frozen(0)
    keeper = Keeper(config(tmp_path, by_id_dir=disks.by_id_dir, expedite=True), [])
    keeper.heal()
    assert not any(disks.is_frozen(number) for number in range(3))
    told = keeper.release(release())
    assert (told.state, told.held_without_gap) == ("expired", False)
    keeper.close()

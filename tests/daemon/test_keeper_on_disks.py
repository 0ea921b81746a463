"""The keeper with its real guardian, kernel and disks."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesced.expedite import RCU_EXPEDITED
from quiesced.freeze import LinuxIoctls
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


def test_a_disk_that_is_mounted_twice_is_held_and_let_go_like_any_other(
    keeper: Keeper, disks: LoopDisks, tmp_path: Path
) -> None:
    """Alibaba's plug-in fails on a device that is mounted twice: the second freeze of it is EBUSY."""
    again = tmp_path / "again"
    again.mkdir()
    subprocess.run(["mount", disks.disks[0].device, again], check=True)
    try:
        answer = keeper.quiesce(quiesce(disks=("disk-0",)))
        assert answer.state == "held"
        writer = Writer([again])
        assert not writer.done_s
        assert keeper.release(release()).held_without_gap
        writer.last_s()
    finally:
        subprocess.run(["umount", again], check=True)


def test_a_disk_that_is_unmounted_while_it_is_held_is_thawed_all_the_same(keeper: Keeper, disks: LoopDisks) -> None:
    """A filesystem that is unmounted while frozen stays frozen, and freezing by path then meets the one underneath."""
    disk = disks.disks[0]
    keeper.quiesce(quiesce(disks=("disk-0",)))
    subprocess.run(["umount", "--lazy", disk.mount_point], check=True)
    try:
        assert keeper.release(release()).state == "released"
    finally:
        subprocess.run(["mount", disk.device, disk.mount_point], check=True)
    assert not disks.is_frozen(0)


def children() -> set[str]:
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def test_many_holds_that_fail_leave_no_guardian_behind(keeper: Keeper, disks: LoopDisks) -> None:
    """CNPG #6761 and mariadb-operator #1914: what a failure leaves behind must not disable the holds after it."""
    before = children()
    with disks.opened(1) as fd:
        LinuxIoctls().freeze(fd)
        try:
            for number in range(10):
                answer = keeper.quiesce(quiesce(f"lease-{number}", run_id=f"run-{number}", disks=("disk-0", "disk-1")))
                assert answer.refusal is not None
                assert answer.refusal.code == "freeze_failed"
        finally:
            LinuxIoctls().thaw(fd)
    assert children() == before
    assert not any(disks.is_frozen(number) for number in range(3))
    assert keeper.quiesce(quiesce("at last", run_id="after", disks=DISKS)).state == "held"

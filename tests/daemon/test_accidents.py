"""Accidents that others have had with locked databases and frozen filesystems, tried on ours (docs/accidents.md)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from quiesced.disks import Disks, Mount
from quiesced.errors import Refused
from quiesced.keeper import Keeper
from quiesced.survey import LinuxSurveyor, Target
from tests.daemon.fakes import FakeInstance, check, config, quiesce, release
from tests.daemon.keeper_on_fakes import refused_with, start
from tests.waiting import wait_until

FAILURES_IN_A_ROW = 30


def test_an_application_that_cannot_be_reached_is_never_skipped(keeper: Keeper, instance: FakeInstance) -> None:
    """AWS DLM's sample and Huawei's rule skip a service that is not active under the name they know, with success."""
    instance.second.fails_at["prepare"] = Refused("application_unreachable", "there is no socket /run/mysqld/mysqld.sock")
    instance.second.fails_at["check"] = instance.second.fails_at["prepare"]
    assert [refusal.code for refusal in keeper.check(check()).refusals] == ["application_unreachable"]
    assert refused_with(keeper.quiesce(quiesce())) == "application_unreachable"
    assert instance.holds_nothing()


def test_a_step_that_failed_half_way_is_undone_like_one_that_succeeded(keeper: Keeper, instance: FakeInstance) -> None:
    """zrepl #392, Velero #511: when the pre hook fails or is cut off, the post hook never runs and the lock stays."""

    def locked_and_then_failed() -> None:
        instance.second.locked = True
        raise TimeoutError("the hook took too long")

    instance.second.on_quiesce = locked_and_then_failed
    assert refused_with(keeper.quiesce(quiesce())) == "internal"
    assert instance.holds_nothing()


def test_the_second_of_two_filesystems_that_fails_to_freeze_leaves_the_first_thawed(
    keeper: Keeper, instance: FakeInstance
) -> None:
    """Azure VMBackup #1868, open-vm-tools #27: one mount fails or hangs, and those that were frozen before it stay so."""
    instance.kernel.refuses["disk-1"] = 5
    assert refused_with(keeper.quiesce(quiesce())) == "freeze_failed"
    assert instance.kernel.frozen == set()


def test_a_filesystem_of_a_disk_that_was_not_asked_for_is_never_frozen(keeper: Keeper, instance: FakeInstance) -> None:
    """Alibaba's plug-in froze the disks that it had been told to leave out."""
    assert keeper.quiesce(quiesce(disks=("disk-1",))).state == "held"
    assert instance.kernel.frozen == {"disk-1"}


def test_a_filesystem_that_was_thawed_meanwhile_is_no_obstacle_to_the_release(
    keeper: Keeper, instance: FakeInstance
) -> None:
    """A thaw of what was thawed or unmounted meanwhile is EINVAL: ended there, the other filesystems stay frozen."""
    keeper.quiesce(quiesce())
    instance.kernel.by_hand("disk-0", frozen=False)
    assert keeper.release(release()).state == "expired"
    assert instance.holds_nothing()


def test_the_guardian_bounds_the_wait_for_the_first_lock_too(keeper: Keeper, instance: FakeInstance) -> None:
    """EC2CS #23: a lock request that hangs stops every writer behind it; so its wait has a deadline outside the daemon."""
    instance.first.waits_at_quiesce = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(keeper.quiesce, quiesce(acquire_limit_s=2.0, hold_limit_s=3.0))
        wait_until(lambda: instance.journal.has("lock first"))
        assert instance.guardian.deadline_s - keeper._clock() <= 5.0
        instance.first.waits_at_quiesce.set()
        assert asked.result().state == "held"


def test_a_lock_that_came_too_late_for_the_next_application_asks_for_no_further_lock(
    keeper: Keeper, instance: FakeInstance
) -> None:
    """A budget that is over is over for every application: the next lock would stall writers for a hold that is refused."""
    instance.first.lock_takes_s = 0.06
    assert refused_with(keeper.quiesce(quiesce(acquire_limit_s=0.03))) == "acquire_timeout"
    assert not instance.journal.has("lock second")
    assert instance.holds_nothing()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


FAILURES = [
    pytest.param(lambda i: i.first.fails_at.update(prepare=Refused("blocked", "a long query")), id="guard"),
    pytest.param(lambda i: setattr(i, "guardian_fails", True), id="guardian"),
    pytest.param(lambda i: i.second.fails_at.update(quiesce=Refused("acquire_timeout", "no lock")), id="lock"),
    pytest.param(lambda i: i.kernel.refuses.update({"disk-1": 5}), id="freeze"),
    pytest.param(lambda i: i.second.fails_at.update(witness=RuntimeError("a bug")), id="witness"),
]


@pytest.mark.parametrize("break_it", FAILURES)
def test_many_failures_in_a_row_leak_nothing_and_the_next_hold_works(
    keeper: Keeper, instance: FakeInstance, break_it: Callable[[FakeInstance], object]
) -> None:
    """CNPG #6761: three failed snapshots leaked sessions. mariadb-operator #1914: one failure blocks all that follow."""
    keeper.quiesce(quiesce("the first", run_id="before"))
    keeper.release(release("the first"))
    threads, descriptors = threading.active_count(), open_descriptors()
    break_it(instance)
    for number in range(FAILURES_IN_A_ROW):
        assert keeper.quiesce(quiesce(f"lease-{number}", run_id=f"run-{number}")).state == "refused"
        assert instance.holds_nothing()
    wait_until(lambda: threading.active_count() == threads)
    assert open_descriptors() == descriptors
    instance.first.fails_at, instance.second.fails_at, instance.kernel.refuses = {}, {}, {}
    instance.guardian_fails = False
    assert keeper.quiesce(quiesce("at last", run_id="after")).state == "held"


def test_a_machine_restored_from_a_snapshot_of_itself_is_not_held(tmp_path: Path, instance: FakeInstance) -> None:
    """QEMU's agent wrote *frozen* to the disk, and an instance restored from the snapshot believed it.

    Ours keeps what is held in /run, which no snapshot has; and if somebody put it on a disk, thawing what is not frozen
    is success, and an application is set back only on the same server process.
    """
    before = start(tmp_path, instance)
    before.quiesce(quiesce())
    cut = {path.name: path.read_bytes() for path in (tmp_path / "state").iterdir() if path.is_file()}
    before.release(release())
    before.close()
    for name, content in cut.items():
        (tmp_path / "state" / name).write_bytes(content)
    restored = start(tmp_path, instance)
    assert instance.holds_nothing()
    told = restored.release(release())
    assert (told.state, told.held_without_gap) == ("expired", False)
    assert restored.quiesce(quiesce("lease-2", prior_holds=1)).state == "held"
    restored.release(release("lease-2"))
    restored.close()


def test_what_is_opened_must_be_the_filesystem_that_was_surveyed(tmp_path: Path) -> None:
    """Longhorn: freezing by path, after the volume was unmounted, froze the root filesystem that was underneath."""
    under = Disks(Path("/nowhere")).locate(tmp_path)
    assert under is not None
    number = tmp_path.stat().st_dev
    meant = Mount(under.mount_id, f"{os.major(number)}:{os.minor(number)}", "/", str(tmp_path), "ext4", "/dev/vdb", ())
    surveyor = LinuxSurveyor(config(tmp_path))
    os.close(surveyor.open(Target(meant, ("disk-0",))))
    for gone in (replace(meant, mount_id=under.mount_id + 1), replace(meant, device="254:16")):
        with pytest.raises(Refused) as refused:
            surveyor.open(Target(gone, ("disk-0",)))
        assert refused.value.code == "unsafe_mount"

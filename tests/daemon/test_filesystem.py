"""Freezing and thawing filesystems together, in memory and on real disks."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesced.errors import Refused
from quiesced.freeze import Freezer, LinuxIoctls, shows_frozen, thaw_if_frozen
from quiesced.quiescers.filesystem import Filesystems
from tests.daemon.fake_machine import FakeDisks, FakeKernel, Journal
from tests.daemon.loopdisks import LoopDisks, loop_disks, needs_root


class Opened:
    """Two fake filesystems, opened for a hold."""

    def __init__(self, root: Path) -> None:
        self.kernel = FakeKernel(Journal())
        self.filesystems = Filesystems(FakeDisks(root), self.kernel, None)
        for target in FakeDisks(root).survey(["disk-0", "disk-1"]).targets:
            self.filesystems.open(target)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    made = Opened(tmp_path)
    yield made
    made.filesystems.thaw(1.0)
    made.filesystems.close()


def soon() -> float:
    return 1.0


def at_once() -> float:
    return 0.02


def test_all_are_frozen_and_seen_frozen_and_thawed(opened: Opened) -> None:
    assert opened.filesystems.freeze(soon) is None
    assert [(seen.disk_id, seen.frozen) for seen in opened.filesystems.witness()] == [("disk-0", True), ("disk-1", True)]
    opened.filesystems.thaw(1.0)
    assert not opened.kernel.frozen


def test_looking_at_a_filesystem_that_is_not_frozen_leaves_it_thawed(opened: Opened) -> None:
    assert [seen.frozen for seen in opened.filesystems.witness()] == [False, False]
    assert not opened.kernel.frozen


def test_the_one_that_is_late_is_named_and_thawed_when_the_kernel_is_done(opened: Opened) -> None:
    stuck = opened.kernel.stuck["disk-1"] = threading.Event()
    late = opened.filesystems.freeze(at_once)
    assert late is not None
    assert late.endswith("disk-1")
    opened.filesystems.thaw(0.02)
    assert not opened.filesystems.settled(0)
    stuck.set()
    assert opened.filesystems.settled(1.0)
    assert not opened.kernel.frozen


def test_one_that_is_stuck_does_not_delay_the_thaw_of_another(opened: Opened) -> None:
    stuck = opened.kernel.stuck["disk-0"] = threading.Event()
    opened.filesystems.freeze(at_once)
    assert opened.kernel.frozen == {"disk-1"}
    opened.filesystems.thaw(0.02)
    assert not opened.kernel.frozen
    stuck.set()


def test_what_could_not_be_frozen_is_named_and_not_thawed(opened: Opened) -> None:
    opened.kernel.by_hand("disk-1", frozen=True)
    with pytest.raises(Refused) as refused:
        opened.filesystems.freeze(soon)
    assert refused.value.code == "freeze_failed"
    assert "disk-1" in str(refused.value)
    opened.filesystems.thaw(1.0)
    assert opened.kernel.frozen == {"disk-1"}


def test_a_wish_that_is_taken_back_in_time_freezes_nothing(tmp_path: Path) -> None:
    kernel = FakeKernel(Journal())
    fd = os.open(tmp_path, os.O_RDONLY)
    freezer = Freezer(kernel, fd)
    freezer.want(False)
    assert freezer.settled(0)
    freezer.want(True)
    freezer.want(False)
    assert freezer.settled(1.0)
    assert not kernel.frozen
    freezer.close()
    os.close(fd)


def test_thawing_what_is_thawed_is_success_and_another_failure_is_told(tmp_path: Path) -> None:
    with tmp_path.joinpath("file").open("w") as file:
        fd = file.fileno()
        assert thaw_if_frozen(FakeKernel(Journal()), fd) is None
    failure = thaw_if_frozen(FakeKernel(Journal()), fd)
    assert failure is not None
    assert failure.errno == errno.EBADF


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopDisks]:
    with loop_disks(tmp_path_factory.mktemp("disks"), ("ext4", "xfs", "btrfs")) as made:
        yield made


@pytest.mark.lab
@needs_root
@pytest.mark.parametrize("number", [0, 1, 2], ids=["ext4", "xfs", "btrfs"])
def test_linux_freezes_refuses_a_second_freeze_and_thaws(disks: LoopDisks, number: int) -> None:
    ioctls = LinuxIoctls()
    with disks.opened(number) as fd:
        ioctls.sync(fd)
        assert not shows_frozen(ioctls, fd)
        ioctls.freeze(fd)
        assert shows_frozen(ioctls, fd)
        written = threading.Event()

        def write() -> None:
            (disks.disks[number].mount_point / "file").write_text("x")
            written.set()

        writer = threading.Thread(target=write)
        writer.start()
        assert not written.wait(0.05)
        assert thaw_if_frozen(ioctls, fd) is None
        writer.join()
        assert thaw_if_frozen(ioctls, fd) is None
        with pytest.raises(OSError, match="Invalid argument"):
            ioctls.thaw(fd)


@pytest.mark.lab
@needs_root
def test_linux_refuses_to_freeze_what_is_no_disk() -> None:
    fd = os.open("/proc", os.O_RDONLY)
    assert not shows_frozen(LinuxIoctls(), fd)
    os.close(fd)

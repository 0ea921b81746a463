"""Surveys of real disks: what is found, what is refused, and that only the filesystem that was meant is opened."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from quiesced.config import Config
from quiesced.errors import Refused
from quiesced.survey import LinuxSurveyor, Target
from tests.daemon.fakes import config
from tests.daemon.loopdisks import LoopDisks, loop_disks, needs_root

pytestmark = [pytest.mark.lab, needs_root]


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopDisks]:
    with loop_disks(tmp_path_factory.mktemp("disks"), ("ext4", "xfs", "btrfs")) as made:
        yield made


@pytest.fixture
def told(disks: LoopDisks, tmp_path: Path) -> Config:
    return config(tmp_path, by_id_dir=disks.by_id_dir)


def bind(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", source, target], check=True)


@pytest.mark.parametrize("number", [0, 1, 2], ids=["ext4", "xfs", "btrfs"])
def test_a_disk_is_found_mounted_and_can_be_opened(disks: LoopDisks, told: Config, number: int) -> None:
    disk = disks.disks[number]
    surveyor = LinuxSurveyor(told)
    survey = surveyor.survey([disk.disk_id])
    assert survey.refusals == ()
    assert [(f.mount_point, f.disk_id, f.type) for t in survey.targets for f in t.filesystems] == [
        (str(disk.mount_point), disk.disk_id, disk.type)
    ]
    assert surveyor.disk_of(disk.mount_point / "not/yet") == disk.disk_id
    fd = surveyor.open(survey.targets[0])
    assert os.fstat(fd).st_ino == disk.mount_point.stat().st_ino
    os.close(fd)
    assert surveyor.find(survey.targets[0].mount.device) == Target(survey.targets[0].mount, ())


def test_an_unknown_disk_and_a_path_on_no_disk_are_told(told: Config) -> None:
    surveyor = LinuxSurveyor(told)
    assert [refusal.code for refusal in surveyor.survey(["disk-x"]).refusals] == ["unknown_disk"]
    assert surveyor.disk_of(Path("/proc/self")) is None


def test_a_bind_mount_is_the_same_filesystem_and_frozen_once(disks: LoopDisks, told: Config, tmp_path: Path) -> None:
    disk = disks.disks[0]
    bind(disk.mount_point, tmp_path / "bound")
    try:
        assert len(LinuxSurveyor(told).survey([disk.disk_id]).targets) == 1
    finally:
        subprocess.run(["umount", tmp_path / "bound"], check=True)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda told, path: replace(told, never_freeze=(path,)), id="the owner forbids it"),
        pytest.param(lambda told, path: replace(told, state_dir=path / "state"), id="the daemon's state lies on it"),
    ],
)
def test_a_filesystem_that_is_needed_is_unsafe(disks: LoopDisks, told: Config, spoil: object) -> None:
    disk = disks.disks[1]
    assert callable(spoil)
    refusals = LinuxSurveyor(spoil(told, disk.mount_point)).survey([disk.disk_id]).refusals
    assert [refusal.code for refusal in refusals] == ["unsafe_mount"]
    assert str(disk.mount_point) in refusals[0].message


def test_a_filesystem_below_a_loop_device_is_unsafe(disks: LoopDisks, told: Config) -> None:
    disk = disks.disks[1]
    image = disk.mount_point / "inner.img"
    with image.open("wb") as file:
        file.truncate(1 << 20)
    device = subprocess.run(["losetup", "-f", "--show", image], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    try:
        refusals = LinuxSurveyor(told).survey([disk.disk_id]).refusals
        assert [refusal.code for refusal in refusals] == ["unsafe_mount"]
        assert "loop device" in refusals[0].message
    finally:
        subprocess.run(["losetup", "-d", device], check=True)
        image.unlink()


def test_a_mount_that_another_covers_is_not_mistaken_for_it(disks: LoopDisks, told: Config, tmp_path: Path) -> None:
    ext4, xfs = disks.disks[0], disks.disks[1]
    surveyor = LinuxSurveyor(told)
    target = surveyor.survey([ext4.disk_id]).targets[0]
    bind(xfs.mount_point, ext4.mount_point)
    try:
        assert [refusal.code for refusal in surveyor.survey([ext4.disk_id]).refusals] == ["unsafe_mount"]
        with pytest.raises(Refused) as refused:
            surveyor.open(target)
        assert refused.value.code == "unsafe_mount"
    finally:
        subprocess.run(["umount", ext4.mount_point], check=True)


def test_the_root_filesystem_is_refused_even_when_it_has_a_disk_id(told: Config, tmp_path: Path) -> None:
    root = LinuxSurveyor(told)._disks.locate(Path("/"))
    assert root is not None
    if not root.source.startswith("/dev/"):
        pytest.skip("the root filesystem of this machine lies on no block device")
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id/virtio-disk-root").symlink_to(root.source)
    refusals = LinuxSurveyor(replace(told, disk_by_id_dir=tmp_path / "by-id")).survey(["disk-root"]).refusals
    assert [refusal.code for refusal in refusals] == ["unsafe_mount"]

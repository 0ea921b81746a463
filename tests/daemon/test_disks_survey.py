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
    assert surveyor.place_of(disk.mount_point / "not/yet").disk_id == disk.disk_id
    fd = surveyor.open(survey.targets[0])
    assert os.fstat(fd).st_ino == disk.mount_point.stat().st_ino
    os.close(fd)
    assert surveyor.find(survey.targets[0].mount.device) == Target(survey.targets[0].mount, ())


def test_an_unknown_disk_and_a_path_on_no_disk_are_told(told: Config) -> None:
    surveyor = LinuxSurveyor(told)
    assert [refusal.code for refusal in surveyor.survey(["disk-x"]).refusals] == ["unknown_disk"]
    assert surveyor.place_of(Path("/proc/self")).disk_id is None


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


def why(told: Config, disk_id: str) -> str:
    """Say why a disk's filesystem may not be frozen; empty when it may."""
    refusals = LinuxSurveyor(told).survey([disk_id]).refusals
    assert {refusal.code for refusal in refusals} <= {"unsafe_mount"}
    return "; ".join(refusal.message for refusal in refusals)


@pytest.fixture
def two_names(disks: LoopDisks, tmp_path: Path) -> Iterator[Path]:
    """The first disk once more, under a name that has to be escaped in the options of an overlay."""
    name = tmp_path / "two words: a name"
    bind(disks.disks[0].mount_point, name)
    yield name
    subprocess.run(["umount", name], check=True)


@pytest.mark.parametrize("below", [("lowerdir",), ("upperdir", "workdir")], ids=["lower", "upper and work"])
def test_a_filesystem_below_a_mounted_overlay_is_unsafe(
    disks: LoopDisks, told: Config, tmp_path: Path, two_names: Path, below: tuple[str, ...]
) -> None:
    """Freezing a layer stops a filesystem that nobody asked to stop: most often a container's root."""
    ext4, xfs = disks.disks[0], disks.disks[1]
    layers = {
        key: (two_names if key in below else xfs.mount_point) / f"{key} {len(below)}"
        for key in ("lowerdir", "upperdir", "workdir")
    }
    for path in (*layers.values(), tmp_path / "merged"):
        path.mkdir()
    options = ",".join(f"{key}={str(path).replace(':', chr(92) + ':')}" for key, path in layers.items())
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, tmp_path / "merged"], check=True)
    try:
        assert f"overlay at {tmp_path / 'merged'}" in why(told, ext4.disk_id)
    finally:
        subprocess.run(["umount", tmp_path / "merged"], check=True)
    assert why(told, ext4.disk_id) == ""


def test_a_filesystem_with_an_active_swap_file_is_unsafe(disks: LoopDisks, told: Config) -> None:
    disk = disks.disks[0]
    swap = disk.mount_point / "swap file"
    swap.write_bytes(bytes(8 << 20))
    swap.chmod(0o600)
    subprocess.run(["mkswap", swap], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["swapon", swap], check=True)
    try:
        assert "an active swap file" in why(told, disk.disk_id)
    finally:
        subprocess.run(["swapoff", swap], check=True)
        swap.unlink()
    assert why(told, disk.disk_id) == ""


def test_what_is_needed_is_found_through_a_bind_mount_of_its_directory_or_of_the_file_itself(
    disks: LoopDisks, told: Config, tmp_path: Path
) -> None:
    """The filesystem is unsafe under every name, also when the daemon's own file is reached under another."""
    disk = disks.disks[0]
    (disk.mount_point / "directory").mkdir()
    (disk.mount_point / "directory/key.pem").touch()
    bind(disk.mount_point / "directory", tmp_path / "bound")
    (tmp_path / "file.pem").touch()
    subprocess.run(["mount", "--bind", disk.mount_point / "directory/key.pem", tmp_path / "file.pem"], check=True)
    try:
        for name in ("bound/key.pem", "file.pem"):
            listen = replace(told.listen, private_key=tmp_path / name)
            assert "the daemon's configuration" in why(replace(told, listen=listen), disk.disk_id)
        assert why(told, disk.disk_id) == ""
        survey = LinuxSurveyor(told).survey([disk.disk_id])
        assert [target.mount.mount_point for target in survey.targets] == [str(disk.mount_point)]
    finally:
        subprocess.run(["umount", tmp_path / "bound", tmp_path / "file.pem"], check=True)


def test_a_filesystem_of_which_one_file_alone_is_mounted_is_refused_when_opened(
    disks: LoopDisks, told: Config, tmp_path: Path
) -> None:
    disk = disks.disks[0]
    (disk.mount_point / "alone").touch()
    (tmp_path / "alone").touch()
    subprocess.run(["mount", "--bind", disk.mount_point / "alone", tmp_path / "alone"], check=True)
    subprocess.run(["umount", "--lazy", disk.mount_point], check=True)
    try:
        surveyor = LinuxSurveyor(told)
        with pytest.raises(Refused, match="alone cannot be opened") as refused:
            surveyor.open(surveyor.survey([disk.disk_id]).targets[0])
        assert refused.value.code == "unsafe_mount"
    finally:
        subprocess.run(["mount", disk.device, disk.mount_point], check=True)
        subprocess.run(["umount", tmp_path / "alone"], check=True)


def test_the_filesystem_that_is_opened_stays_mounted(disks: LoopDisks, told: Config) -> None:
    """Longhorn on kernels before 5.17: a filesystem unmounted while frozen stays frozen and strands its writers."""
    disk = disks.disks[0]
    surveyor = LinuxSurveyor(told)
    fd = surveyor.open(surveyor.survey([disk.disk_id]).targets[0])
    try:
        assert subprocess.run(["umount", disk.mount_point], stderr=subprocess.DEVNULL, check=False).returncode != 0
    finally:
        os.close(fd)

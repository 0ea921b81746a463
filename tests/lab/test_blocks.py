"""Disks and snapshots of the lab: clones of one instant that never help, and directories where mounting is not allowed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesce_lab import loops
from quiesce_lab.blocks import LoopBlocks
from quiesce_lab.dirblocks import DirBlocks
from quiesce_lab.errors import LabError
from quiesce_lab.instances import Instance
from quiesce_lab.machine import Machine
from quiesce_lab.pool import Pool
from quiesce_lab.restore import restored_disks
from quiesce_lab.run import run
from tests.lab.machines import insist_on_real_disks, new_machine

Blocks = LoopBlocks | DirBlocks
BLOCK = bytes(range(256)) * 16


class Place:
    """A store of disks and an instance that uses them."""

    def __init__(self, machine: Machine, blocks: Blocks) -> None:
        self.machine = machine
        self.blocks = blocks
        self.instance = Instance(machine, "ins-blocks", in_memory_run=False)

    def new_disk(self, disk_id: str, mount: str, fs: str = "ext4") -> Path:
        """Make a disk, format it when it is a block device, and mount it."""
        self.blocks.create(disk_id, 10)
        self.blocks.attach(disk_id, self.instance.instance_id)
        if isinstance(self.blocks, LoopBlocks):
            self.instance.format(disk_id, fs)
        return self.instance.mount(disk_id, mount)


def durably(path: Path, content: bytes = BLOCK) -> None:
    """Write a file as an application that waits for the disk does."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, content)
    os.fsync(fd)
    os.close(fd)


@contextlib.contextmanager
def on_loops(kinds: tuple[str, ...] = ("xfs", "btrfs")) -> Iterator[Place]:
    insist_on_real_disks()
    with new_machine() as machine:
        yield Place(machine, LoopBlocks(Pool(machine, kinds=kinds)))


@pytest.fixture
def loop_place() -> Iterator[Place]:
    with on_loops() as place:
        yield place


@pytest.fixture(params=[pytest.param("loops", marks=pytest.mark.lab), "directories"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Both stores: they owe the same."""
    if request.param == "loops":
        with on_loops() as here:
            yield here
    else:
        with new_machine() as machine:
            yield Place(machine, DirBlocks(machine))


def test_a_restored_disk_has_what_was_there_and_nothing_from_later(place: Place) -> None:
    data = place.new_disk("disk-a", "/data")
    durably(data / "before")
    place.blocks.snapshot("disk-a", "snap-a")
    durably(data / "before", b"changed")
    durably(data / "after")
    with restored_disks(place.blocks, place.instance, {"/restored": "snap-a"}, 10) as mounted:
        assert (mounted["/restored"] / "before").read_bytes() == BLOCK
        assert not (mounted["/restored"] / "after").exists()
        durably(mounted["/restored"] / "before", b"elsewhere")
    assert (data / "before").read_bytes() == b"changed"


def test_a_disk_is_found_by_its_id(place: Place) -> None:
    place.new_disk("disk-a", "/data")
    link = place.machine.state_dir / "instances/ins-blocks/by-id/virtio-disk-a"
    assert link.is_symlink()
    assert link.resolve() == place.instance.device("disk-a")
    place.instance.unmount("/data")
    place.blocks.detach("disk-a")
    assert not link.is_symlink()
    with pytest.raises(LabError, match="not attached"):
        place.instance.device("disk-a")


def test_what_cannot_be_is_refused(place: Place) -> None:
    place.new_disk("disk-a", "/data")
    place.blocks.snapshot("disk-a", "snap-a")
    with pytest.raises(LabError):
        place.blocks.snapshot("disk-a", "snap-a")
    with pytest.raises(LabError):
        place.blocks.snapshot("disk-never", "snap-b")
    with pytest.raises(LabError):
        place.blocks.create("disk-b", 10, from_snapshot="snap-never")
    with pytest.raises(LabError):
        place.blocks.attach("disk-never", "ins-blocks")
    with pytest.raises(LabError, match="attached already"):
        place.blocks.attach("disk-a", "ins-other")
    with pytest.raises(LabError, match="detach it first"):
        place.blocks.delete("disk-a")
    place.blocks.snapshot("disk-a", "snap-b")


def test_a_deleted_snapshot_is_gone_and_the_disks_made_of_it_stay(place: Place) -> None:
    data = place.new_disk("disk-a", "/data")
    durably(data / "file")
    place.blocks.snapshot("disk-a", "snap-a")
    place.blocks.create("disk-b", 10, from_snapshot="snap-a")
    place.blocks.delete_snapshot("snap-a")
    place.blocks.attach("disk-b", "ins-blocks")
    assert (place.instance.mount("disk-b", "/b") / "file").read_bytes() == BLOCK
    with pytest.raises(LabError):
        place.blocks.create("disk-c", 10, from_snapshot="snap-a")


@pytest.mark.lab
@pytest.mark.parametrize("fs", ["ext4", "xfs"])
def test_a_snapshot_never_syncs(loop_place: Place, fs: str) -> None:
    data = loop_place.new_disk("disk-a", "/data", fs)
    durably(data / "durable")
    (data / "in memory").write_bytes(BLOCK)
    loop_place.blocks.snapshot("disk-a", "snap-a")
    with restored_disks(loop_place.blocks, loop_place.instance, {"/restored": "snap-a"}, 10) as mounted:
        assert (mounted["/restored"] / "durable").read_bytes() == BLOCK
        left = mounted["/restored"] / "in memory"
        assert not left.exists() or left.read_bytes() != BLOCK


@pytest.mark.lab
@pytest.mark.parametrize("fs", ["ext4", "xfs"])
def test_many_clones_of_one_disk_are_mounted_beside_it(loop_place: Place, fs: str) -> None:
    data = loop_place.new_disk("disk-a", "/data", fs)
    for number in range(4):
        durably(data / str(number))
        loop_place.blocks.snapshot("disk-a", f"snap-{number}")
    snapshots = {f"/restored-{number}": f"snap-{number}" for number in range(4)}
    with restored_disks(loop_place.blocks, loop_place.instance, snapshots, 10) as mounted:
        names = [sorted(path.name for path in point.iterdir() if path.is_file()) for point in mounted.values()]
    assert names == [["0"], ["0", "1"], ["0", "1", "2"], ["0", "1", "2", "3"]]


@pytest.mark.lab
def test_a_disk_is_a_device_without_the_hosts_page_cache_also_when_it_is_a_clone(loop_place: Place) -> None:
    loop_place.new_disk("disk-a", "/data", "xfs")
    loop_place.blocks.snapshot("disk-a", "snap-a")
    loop_place.blocks.create("disk-b", 10, from_snapshot="snap-a")
    loop_place.blocks.attach("disk-b", "ins-blocks")
    for disk_id in ("disk-a", "disk-b"):
        device = loop_place.instance.device(disk_id)
        assert device.is_block_device()
        assert Path(f"/sys/block/{device.name}/loop/dio").read_text().strip() == "1"
        assert int(Path(f"/sys/block/{device.name}/queue/logical_block_size").read_text()) == loops.SECTOR_BYTES


@pytest.mark.lab
def test_an_image_that_is_written_here_and_there_stays_in_few_pieces_so_that_its_clone_is_quick(loop_place: Place) -> None:
    loop_place.blocks.create("disk-a", 10)
    loop_place.blocks.attach("disk-a", "ins-blocks")
    fd = os.open(loop_place.instance.device("disk-a"), os.O_WRONLY | os.O_DSYNC)
    for offset in range(0, 1 << 20, len(BLOCK)):  # two files that grow side by side, as a log and a table do
        os.pwrite(fd, BLOCK, offset)
        os.pwrite(fd, BLOCK, (1 << 30) + offset)
    os.close(fd)
    pieces = run("filefrag", loop_place.machine.state_dir / "pool/disks/disk-a.img")
    assert int(pieces.rsplit(":", 1)[1].split()[0]) < 10, pieces


@pytest.mark.lab
def test_a_restored_disk_may_be_bigger_and_never_smaller(loop_place: Place) -> None:
    loop_place.new_disk("disk-a", "/data")
    loop_place.blocks.snapshot("disk-a", "snap-a")
    loop_place.blocks.create("disk-b", 12, from_snapshot="snap-a")
    loop_place.blocks.attach("disk-b", "ins-blocks")
    name = loop_place.instance.device("disk-b").name
    assert int(Path(f"/sys/block/{name}/size").read_text()) * 512 == 12 << 30
    with pytest.raises(LabError, match="bigger"):
        loop_place.blocks.create("disk-c", 9, from_snapshot="snap-a")
    loop_place.blocks.create("disk-c", 10, from_snapshot="snap-a")


@pytest.mark.lab
def test_btrfs_serves_as_a_pool_too() -> None:
    with on_loops(kinds=("btrfs",)) as place:
        data = place.new_disk("disk-a", "/data")
        durably(data / "file")
        place.blocks.snapshot("disk-a", "snap-a")
        with restored_disks(place.blocks, place.instance, {"/restored": "snap-a"}, 10) as mounted:
            assert (mounted["/restored"] / "file").read_bytes() == BLOCK


def test_a_copy_of_directories_leaves_out_what_went_away(tmp_path: Path) -> None:
    with new_machine() as machine:
        place = Place(machine, DirBlocks(machine))
        data = place.new_disk("disk-a", "/data")
        (data / "deep/er").mkdir(parents=True)
        durably(data / "deep/er/file")
        (data / "dangling").symlink_to(tmp_path / "nowhere")
        place.blocks.snapshot("disk-a", "snap-a")
        with restored_disks(place.blocks, place.instance, {"/restored": "snap-a"}, 10) as mounted:
            assert (mounted["/restored"] / "deep/er/file").read_bytes() == BLOCK
            assert not (mounted["/restored"] / "dangling").exists()

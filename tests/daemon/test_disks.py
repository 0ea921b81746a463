"""From disk ids to filesystems and back, on trees of files that look like /proc and /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

from quiesced import safety
from quiesced.disks import Disks, Mount, mount_id_of, parse_mountinfo
from tests.daemon.fakes import config


def mount(device: str, mount_point: str, type_: str = "ext4", source: str = "/dev/vdb", options: str = "rw") -> Mount:
    return Mount(1, device, "/", mount_point, type_, source, tuple(options.split(",")))


@pytest.mark.parametrize(
    ("line", "row"),
    [
        pytest.param(
            "36 25 254:16 / /data rw,noatime shared:1 - ext4 /dev/vdb rw,discard",
            Mount(36, "254:16", "/", "/data", "ext4", "/dev/vdb", ("rw", "discard")),
            id="one optional field",
        ),
        pytest.param(
            "36 25 254:17 / /data rw - xfs /dev/vdb1 rw,logdev=/dev/vdc",
            Mount(36, "254:17", "/", "/data", "xfs", "/dev/vdb1", ("rw", "logdev=/dev/vdc")),
            id="no optional field",
        ),
        pytest.param(
            "36 25 254:16 / /data rw shared:1 master:2 propagate_from:3 - ext4 /dev/vdb rw",
            Mount(36, "254:16", "/", "/data", "ext4", "/dev/vdb", ("rw",)),
            id="three optional fields",
        ),
        pytest.param(
            r"36 25 254:16 /my\040sql /data\040one\134two rw - ext4 /dev/vdb rw",
            Mount(36, "254:16", "/my sql", "/data one\\two", "ext4", "/dev/vdb", ("rw",)),
            id="a bind mount with spaces and a backslash",
        ),
        pytest.param(
            "36 25 0:52 /@data /data rw - btrfs /dev/vdb rw,subvol=/@data",
            Mount(36, "0:52", "/@data", "/data", "btrfs", "/dev/vdb", ("rw", "subvol=/@data")),
            id="a btrfs subvolume",
        ),
    ],
)
def test_a_row_of_mountinfo_is_read(line: str, row: Mount) -> None:
    assert parse_mountinfo(line + "\n") == (row,)


class Machine:
    """Three disks in a fake /sys: vdb whole, vdc with a partition, vdd and vde below one LVM volume dm-0."""

    def __init__(self, root: Path) -> None:
        self.sys, self.proc, self.by_id = root / "sys", root / "proc", root / "by-id"
        for directory in ("dev/block", "class/block"):
            (self.sys / directory).mkdir(parents=True)
        (self.proc / "self").mkdir(parents=True)
        self.by_id.mkdir()
        self._block("vda", "254:0")
        self._block("vdb", "254:16")
        self._block("vdc", "254:32")
        self._block("vdc/vdc1", "254:33", is_partition=True)
        self._block("vdd", "254:48")
        self._block("vde", "254:64")
        self._block("dm-0", "253:0", below=("vdd", "vde"))
        for disk_id, name in (("disk-b", "vdb"), ("disk-c", "vdc"), ("disk-d", "vdd"), ("disk-e", "vde")):
            (self.by_id / f"virtio-{disk_id}").symlink_to(f"../dev/{name}")
        (self.by_id / "virtio-disk-c-part1").symlink_to("../dev/vdc1")
        (self.by_id / "virtio-disk-gone").symlink_to("../dev/vdz")
        self.disks = Disks(self.by_id, proc=self.proc, sys=self.sys)

    def _block(self, path: str, number: str, *, is_partition: bool = False, below: tuple[str, ...] = ()) -> None:
        directory = self.sys / "devices" / path
        directory.mkdir(parents=True)
        (directory / "dev").write_text(number + "\n")
        if is_partition:
            (directory / "partition").write_text("1\n")
        else:
            (directory / "slaves").mkdir()
        for name in below:
            (directory / "slaves" / name).symlink_to(self.sys / "devices" / name)
        (self.sys / "dev/block" / number).symlink_to(directory)
        (self.sys / "class/block" / directory.name).symlink_to(directory)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("disk_id", "device"),
    [
        pytest.param("disk-b", "254:16", id="attached"),
        pytest.param("disk-x", None, id="no such link"),
        pytest.param("disk-gone", None, id="a link to nothing"),
        pytest.param("../virtio-disk-b", None, id="not an id but a path"),
        pytest.param("", None, id="empty"),
    ],
)
def test_a_disk_is_found_by_its_id(machine: Machine, disk_id: str, device: str | None) -> None:
    assert machine.disks.device_of(disk_id) == device


@pytest.mark.parametrize(
    ("mounted", "disk_ids"),
    [
        pytest.param(mount("254:16", "/data"), {"disk-b"}, id="a whole disk"),
        pytest.param(mount("254:33", "/data"), {"disk-c"}, id="a partition"),
        pytest.param(mount("253:0", "/data"), {"disk-d", "disk-e"}, id="LVM over two disks"),
        pytest.param(mount("254:0", "/"), {"254:0"}, id="a disk without an id"),
        pytest.param(mount("0:21", "/proc", "proc", "proc"), set(), id="no disk at all"),
        pytest.param(mount("0:52", "/data", "btrfs", "/dev/vdb"), {"disk-b"}, id="btrfs, which numbers itself"),
        pytest.param(
            mount("254:16", "/data", "xfs", options="rw,logdev=/dev/vdc1"), {"disk-b", "disk-c"}, id="xfs with a log device"
        ),
    ],
)
def test_the_disks_under_a_filesystem_are_all_found(machine: Machine, mounted: Mount, disk_ids: set[str]) -> None:
    assert machine.disks.disks_under(mounted) == disk_ids


def test_every_member_of_a_btrfs_over_two_disks_is_found(machine: Machine) -> None:
    devices = machine.sys / "fs/btrfs/0f3c/devices"
    devices.mkdir(parents=True)
    for name in ("vdb", "vdc1"):
        (devices / name).symlink_to(machine.sys / "class/block" / name)
    assert machine.disks.disks_under(mount("0:52", "/data", "btrfs", "/dev/vdb")) == {"disk-b", "disk-c"}


def test_a_path_lies_on_the_disk_of_its_mount_also_before_it_exists(machine: Machine, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (machine.proc / "self/mountinfo").write_text(f"7 1 254:33 / {data} rw - ext4 /dev/vdc1 rw\n")
    disks = Disks(
        machine.by_id, proc=machine.proc, sys=machine.sys, mount_id_of=lambda path: 7 if data in (path, *path.parents) else 1
    )
    assert disks.place_of(data).disk_id == "disk-c"
    assert disks.place_of(data / "mysql/not/yet").disk_id == "disk-c"
    assert disks.place_of(tmp_path / "elsewhere").disk_id is None


def test_a_dangling_link_is_followed_to_where_it_points(machine: Machine, tmp_path: Path) -> None:
    data, other = tmp_path / "data", tmp_path / "other"
    data.mkdir()
    other.mkdir()
    (data / "log").symlink_to(other / "not/yet")
    (machine.proc / "self/mountinfo").write_text(f"7 1 254:16 / {other} rw - ext4 /dev/vdb rw\n")
    disks = Disks(machine.by_id, proc=machine.proc, sys=machine.sys, mount_id_of=lambda path: 7 if path == other else 1)
    assert disks.place_of(data / "log").disk_id == "disk-b"


def test_the_kernel_tells_which_mount_a_path_lies_on() -> None:
    disks = Disks(Path("/nowhere"))
    proc = disks.locate(Path("/proc/self/stat"))
    assert proc is not None
    assert (proc.mount_point, proc.type) == ("/proc", "proc")
    assert mount_id_of(Path("/proc")) == proc.mount_id


ROWS = (
    mount("254:0", "/"),
    mount("254:1", "/boot"),
    mount("254:2", "/boot/efi"),
    mount("254:16", "/data"),
    mount("254:0", "/srv/bound"),
    mount("254:16", "/also"),
    mount("0:30", "/run", "tmpfs", "tmpfs"),
)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        pytest.param(ROWS[0], "mounted at /", id="the root"),
        pytest.param(ROWS[1], "/boot", id="boot"),
        pytest.param(ROWS[2], "/boot/efi", id="below boot"),
        pytest.param(ROWS[4], "mounted at /", id="a bind mount of the root filesystem"),
        pytest.param(ROWS[6], "tmpfs", id="tmpfs"),
        pytest.param(mount("0:40", "/nfs", "nfs4", "host:/"), "nfs4", id="a network filesystem"),
        pytest.param(mount("0:41", "/merged", "overlay", "overlay"), "overlay", id="overlay"),
        pytest.param(ROWS[3], None, id="a data disk"),
    ],
)
def test_what_may_never_be_frozen(row: Mount, word: str | None) -> None:
    why = safety.why_not(row, safety.reasons(ROWS, lambda _: None, ()))
    assert (why is None) == (word is None)
    assert word is None or (why is not None and word in why)


def test_a_filesystem_that_holds_something_in_use_is_not_frozen_under_any_of_its_names() -> None:
    never = safety.reasons(ROWS, lambda path: ROWS[3], [(Path("/data/swap"), "an active swap file")])
    for row in (ROWS[3], ROWS[5]):
        why = safety.why_not(row, never)
        assert why is not None
        assert "swap" in why


def test_what_is_in_use_is_taken_from_the_configuration_the_process_and_the_kernel(tmp_path: Path) -> None:
    proc, sysfs = tmp_path / "proc", tmp_path / "sys"
    (proc / "self").mkdir(parents=True)
    (proc / "self/maps").write_text(
        "7f00-7f01 r-xp 00000000 fe:00 1234 /usr/lib/a library.so\n7f02-7f03 rw-p 00000000 00:00 0 \n"
        "7f04-7f05 r--p 00000000 fe:00 1235 /gone.so (deleted)\n7f06-7f07 rw-p 00000000 00:00 0 [heap]\n"
    )
    (proc / "swaps").write_text("Filename Type Size Used Priority\n/data/swap file 10 0 -2\n/dev/vdb2 partition 10 0 -3\n")
    (sysfs / "block/loop0/loop").mkdir(parents=True)
    (sysfs / "block/loop0/loop/backing_file").write_text("/data/disk.img\n")
    told = config(tmp_path)
    in_use = {str(path) for path, _ in safety.paths_in_use(told, proc=proc, sysfs=sysfs)}
    assert {"/usr/lib/a library.so", "/data/swap", "/data/disk.img", str(told.state_dir)} <= in_use
    assert not {"/gone.so", "/dev/vdb2", "[heap]"} & in_use

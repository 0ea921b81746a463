"""What is dirty is written out in pieces before the hold, so that nobody has to wait for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quiesced import write_back
from tests.daemon.loopdisks import loop_disks, needs_root

MIB = 1 << 20


@contextmanager
def opened(where: Path) -> Iterator[int]:
    fd = os.open(where, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def meminfo(where: Path, dirty_kib: int) -> Path:
    file = where / "meminfo"
    file.write_text(f"MemTotal:       16384 kB\nDirty:          {dirty_kib} kB\n")
    return file


@pytest.fixture
def much_is_dirty(tmp_path: Path) -> Path:
    return meminfo(tmp_path, 1_048_576)


@pytest.mark.lab
@needs_root
@pytest.mark.parametrize("type_", ["ext4", "xfs", "btrfs"])
def test_dirty_files_are_on_the_disk_afterwards(tmp_path: Path, type_: str, much_is_dirty: Path) -> None:
    """Seen from outside: the image, which only what the disk was given reaches, has the bytes."""
    image, mark = tmp_path / "disk-0.img", os.urandom(4096)
    with loop_disks(tmp_path, (type_,)) as made:
        deep = made.disks[0].mount_point / "a" / "b"
        deep.mkdir(parents=True)
        (deep / "file").write_bytes(mark * (3 * MIB // 4096))
        assert mark not in image.read_bytes()
        with made.opened() as fd:
            assert write_back.in_pieces(fd, meminfo=much_is_dirty) == 3 * MIB
        assert image.read_bytes().count(mark) >= 3 * MIB // 4096


def test_nothing_is_looked_at_where_little_is_dirty(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * MIB)
    with opened(tmp_path) as fd:
        assert write_back.in_pieces(fd, meminfo=meminfo(tmp_path, 1024)) == 0
        assert write_back.in_pieces(fd, meminfo=tmp_path / "missing") == 0


def test_it_ends_when_its_time_is_over(tmp_path: Path, much_is_dirty: Path) -> None:
    for number in range(4):
        (tmp_path / f"file-{number}").write_bytes(b"x" * 2 * MIB)
    with opened(tmp_path) as fd:
        assert write_back.in_pieces(fd, meminfo=much_is_dirty, limit_s=0) < 8 * MIB
        assert write_back.in_pieces(fd, meminfo=much_is_dirty) > 8 * MIB


@pytest.mark.timeout(20)
def test_only_files_are_opened_and_only_on_this_filesystem(tmp_path: Path, much_is_dirty: Path) -> None:
    """Opening a pipe would wait for its other end; a link leads elsewhere."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "file").write_bytes(b"x" * 100)
    os.mkfifo(inside / "pipe")
    (inside / "link").symlink_to(much_is_dirty)
    (inside / "directory").symlink_to("/proc")
    before = set(Path("/proc/self/fd").iterdir())
    with opened(inside) as fd:
        assert write_back.in_pieces(fd, meminfo=much_is_dirty) == 100
    assert set(Path("/proc/self/fd").iterdir()) == before

"""Loop devices: an image file as a block device, through the host's losetup."""

from __future__ import annotations

from pathlib import Path

from quiesce_lab.run import run

SECTOR_BYTES = 4096
"""The same for every device: xfs takes direct I/O on a file with shared blocks in whole blocks only, so the kernel would
give a clone another sector size than its origin had, and a filesystem made for smaller sectors would not mount."""


def attach(image: Path) -> Path:
    """Attach an image with direct I/O, so that the host's page cache is no second disk cache. Raises LabError."""
    options = ("--find", "--show", "--nooverlap", "--direct-io=on", f"--sector-size={SECTOR_BYTES}")
    return Path(run("losetup", *options, image).strip())


def devices_of(image: Path) -> tuple[Path, ...]:
    """Loop devices that are backed by this very path."""
    found = []
    for backing in sorted(Path("/sys/block").glob("loop*/loop/backing_file")):
        try:
            named = backing.read_text().rstrip("\n")
        except OSError:
            continue  # detached meanwhile
        if named.removesuffix(" (deleted)") == str(image):
            found.append(Path("/dev") / backing.parent.parent.name)
    return tuple(found)


def detach(image: Path) -> None:
    """Detach every loop device of an image. Any number of times. Raises LabError."""
    for device in devices_of(image):
        run("losetup", "--detach", device)

"""What may never be frozen: a filesystem whose stillness would keep this daemon, or the machine, from going on."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Callable

from quiesced.config import Config
from quiesced.disks import Mount

FREEZABLE_TYPES = frozenset({"ext3", "ext4", "xfs", "btrfs"})
"""Local filesystems that implement freeze_fs and lie on block devices of their own."""

_LAYERS = frozenset({"lowerdir", "lowerdir+", "datadir+", "upperdir"})
"""Options that name directories of an overlay; its workdir lies on the filesystem of its upperdir."""

Reasons = Mapping[str, str]
"""Filesystem, by its device number, to the reason why it may not be frozen."""


def reasons(mounts: Sequence[Mount], locate: Callable[[Path], Mount | None], in_use: Sequence[tuple[Path, str]]) -> Reasons:
    """Name every filesystem that may not be frozen.

    A filesystem counts as a whole: when one of its mounts is the machine's root, none of its mounts may be frozen.
    ``in_use`` are paths that something must be able to write or read at any time, with that something in words.
    """
    found: dict[str, str] = {}
    for path, use in (*in_use, *_overlay_layers(mounts)):
        mount = locate(path)
        if mount:
            found.setdefault(mount.device, f"it holds {path} ({use})")
    for mount in mounts:
        if mount.mount_point in ("/", "/boot") or mount.mount_point.startswith("/boot/"):
            found[mount.device] = f"it is mounted at {mount.mount_point} too"
    return found


def why_not(mount: Mount, never: Reasons) -> str | None:
    """Say why this mount may not be frozen; None when it may."""
    if mount.type not in FREEZABLE_TYPES:
        return f"its type is {mount.type}; only {', '.join(sorted(FREEZABLE_TYPES))} are frozen"
    return never.get(mount.device)


def paths_in_use(config: Config, *, proc: Path = Path("/proc"), sysfs: Path = Path("/sys")) -> tuple[tuple[Path, str], ...]:
    """List what the daemon, its owner and the kernel need while something is frozen."""
    return (
        *_named("the daemon's code", _code_paths(proc)),
        *_named("the daemon's program and libraries", _mapped_files(proc)),
        *_named("the daemon's configuration", (config.listen.certificate, config.listen.private_key)),
        *_named("the daemon's state", (config.state_dir,)),
        *_named("the daemon's working directory", (proc / "self/cwd",)),
        *_named("the daemon's output or log", (proc / "self/fd" / number for number in "012")),
        *_named("never_freeze in the daemon's configuration", config.never_freeze),
        *_named("an active swap file", _swap_files(proc)),
        *_named("the image of a loop device", _loop_images(sysfs)),
    )


def _overlay_layers(mounts: Sequence[Mount]) -> Iterator[tuple[Path, str]]:
    """Directories that mounted overlays are made of: freezing one stops a filesystem that nobody asked to stop.

    An overlay is most often the root of a container. Paths are as its mounter wrote them (overlayfs in the kernel's
    documentation); those of another mount namespace cannot be told from here.
    """
    for mount in mounts:
        options = (option.partition("=") for option in mount.options if mount.type == "overlay")
        for key, _, value in options:
            if key in _LAYERS:
                for layer in re.split(r"(?<!\\):+", value):
                    yield Path(re.sub(r"\\(.)", r"\1", layer)), f"a layer of the overlay at {mount.mount_point}"


def _named(use: str, paths: Iterator[Path] | Sequence[Path]) -> Iterator[tuple[Path, str]]:
    return ((path, use) for path in paths)


def _code_paths(proc: Path) -> Iterator[Path]:
    named = (sys.executable, sys.prefix, sys.base_prefix, sys.argv[0] if sys.argv else "", __file__, *sys.path)
    return (proc / "self/cwd" / name for name in named if name)


def _mapped_files(proc: Path) -> Iterator[Path]:
    """Files mapped into this process (proc_pid_maps(5), last field)."""
    lines = (proc / "self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    names = {line.split(None, 5)[5] for line in lines if line.count("/") and len(line.split(None, 5)) == 6}
    return (Path(name) for name in sorted(names) if name.startswith("/") and not name.endswith(" (deleted)"))


def _swap_files(proc: Path) -> Iterator[Path]:
    """Swap files; a swap partition holds no filesystem (proc(5), swaps)."""
    swaps = proc / "swaps"
    rows = swaps.read_text(encoding="utf-8", errors="surrogateescape").splitlines()[1:] if swaps.exists() else []
    return (Path(row.split()[0].replace("\\040", " ")) for row in rows if row.split()[1] == "file")


def _loop_images(sysfs: Path) -> Iterator[Path]:
    """Files behind loop devices: freezing both at once would make the upper freeze wait for the lower one."""
    for backing in sorted(sysfs.glob("block/loop*/loop/backing_file")):
        try:
            yield Path(backing.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n"))
        except OSError:  # detached while we looked
            continue

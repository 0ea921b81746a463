"""New disks of a set of snapshots, by the block store alone: what a test needs that has no cloud."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from quiesce_lab.blocks import LoopBlocks
from quiesce_lab.dirblocks import DirBlocks
from quiesce_lab.instances import Instance


@contextlib.contextmanager
def restored_disks(
    blocks: LoopBlocks | DirBlocks, instance: Instance, snapshots: Mapping[str, str], size_gib: int
) -> Iterator[dict[str, Path]]:
    """Make a new disk of each snapshot, attach and mount it; undo all of it at the end. Raises LabError.

    ``snapshots`` maps a mount path to a snapshot id; the result maps the same path to where it is mounted.
    """
    with contextlib.ExitStack() as undo:
        mounted = {}
        for path, snapshot_id in snapshots.items():
            disk_id = f"disk-of-{snapshot_id}"
            undo.callback(blocks.delete, disk_id)
            blocks.create(disk_id, size_gib, from_snapshot=snapshot_id)
            undo.callback(blocks.detach, disk_id)
            blocks.attach(disk_id, instance.instance_id)
            undo.callback(instance.unmount, path)
            mounted[path] = instance.mount(disk_id, path)
        yield mounted

"""Recovering a set of snapshots as an operator does: new disks through the cloud's API, attached to another instance."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tencentcloud.common.common_client import CommonClient

from quiesce_lab.errors import LabError
from quiesce_lab.instances import Instance
from quiesce_lab.site import Site

WAIT_LIMIT_S = 120.0
POLL_S = 0.1
Ask = tuple[str, Mapping[str, Any]]


def recover_disk(site: Site, snapshot_id: str, instance: Instance, mount_path: str) -> tuple[str, Path]:
    """Make a disk from a snapshot, attach and mount it; returns its id and mount point. Raises LabError."""
    cbs = site.console.cbs
    snapshot = _wait(cbs, ("DescribeSnapshots", {"SnapshotIds": [snapshot_id]}), "SnapshotSet", "NORMAL")
    created = cbs.call_json(
        "CreateDisks",
        {
            "Placement": {"Zone": f"{site.region}-1"},
            "DiskChargeType": "POSTPAID_BY_HOUR",
            "DiskType": "CLOUD_HSSD",
            "SnapshotId": snapshot_id,
            "DiskSize": snapshot["DiskSize"],
        },
    )
    disk_id = str(created["Response"]["DiskIdSet"][0])
    disk: Ask = ("DescribeDisks", {"Filters": [{"Name": "disk-id", "Values": [disk_id]}]})
    _wait(cbs, disk, "DiskSet", "UNATTACHED")
    cbs.call_json("AttachDisks", {"InstanceId": instance.instance_id, "DiskIds": [disk_id]})
    _wait(cbs, disk, "DiskSet", "ATTACHED")
    return disk_id, instance.mount(disk_id, mount_path)


def _wait(cbs: CommonClient, ask: Ask, key: str, wanted: str) -> dict[str, Any]:
    """Ask until the one item listed is in the state wanted."""
    action, params = ask
    give_up_at = time.monotonic() + WAIT_LIMIT_S
    while True:
        listed = cbs.call_json(action, dict(params))["Response"][key]
        if listed and wanted in (listed[0].get("SnapshotState"), listed[0].get("DiskState")):
            return dict(listed[0])
        if time.monotonic() > give_up_at:
            raise LabError(f"{action} {params} is not {wanted} after {WAIT_LIMIT_S:g} s: {listed}")
        time.sleep(POLL_S)

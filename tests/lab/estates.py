"""An estate in the lab's cloud: one instance with two disks, and snapshots as runs of some days ago left them."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import msgspec

from quiesce.adapters.logs import JsonLog
from quiesce.certificate import TAG_LEVEL, SigningKey
from quiesce.commands.shapes import KINDS
from quiesce.followup import follow_up
from quiesce.policies import load
from quiesce.settings import CloudSettings, Credentials, HttpAuth, Settings
from quiesce.wiring import Wiring
from quiesce_lab.cloud.model import Snapshot
from tests.function.settings_for import hook_settings
from tests.lab.cloud_world import REGION, SECRET_ID, SECRET_KEY, TOKEN, Lab

SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"
DISK, BARE = "disk-aaaa1111", "disk-bbbb2222"
INSTANCE = "ins-00lycyy6"
POLICIES = """
[policies.nightly]
objective_hours = 30
[policies.nightly.targets]
instances = ["ins-00lycyy6"]
disks = ["disk-aaaa1111"]
[policies.nightly.retention]
last = 2
daily = 3
"""


def populate(lab: Lab, tmp_path: Path, policies: str = POLICIES) -> None:
    """Add the instance, its disks, and the policy file."""
    lab.cloud.world.add_instance(INSTANCE, "10.0.0.7")
    lab.disk(DISK, instance_id=INSTANCE)
    lab.disk(BARE, instance_id=INSTANCE)
    (tmp_path / "policies.toml").write_text(policies)


def add(
    lab: Lab,
    number: int,
    days: float,
    *,
    level: str = "application",
    pending: bool = False,
    disk: str = DISK,
    set_size: int = 1,
    **fields: Any,
) -> str:
    """Put a snapshot into the cloud as a run of so many days ago left it."""
    now_s = lab.cloud.world.clock.time() - days * 86_400
    name = f"quiesce-nightly-{number:010x}-{disk.removeprefix('disk-')}" + "-pending" * pending
    tags = {TAG_LEVEL: level, "quiesce:policy": "nightly", "quiesce:instance": INSTANCE} if level else {}
    if set_size > 1:
        tags["quiesce:set-size"] = str(set_size)
    snapshot_id = f"snap-{number:08d}" if disk == DISK else f"snap-{number:07d}b"
    snapshot = Snapshot(
        snapshot_id, disk, 20, "DATA_DISK", f"{REGION}-1", False, name, now_s, now_s, 1.0, tags=tags, **fields
    )
    lab.blocks.snapshot(disk, snapshot.snapshot_id)
    lab.cloud.world.estate().snapshots[snapshot.snapshot_id] = snapshot
    return snapshot.snapshot_id


def settings_for(lab: Lab, tmp_path: Path, **changes: Any) -> Settings:
    """Make the function's settings."""
    given: dict[str, Any] = {
        "policies": tmp_path / "policies.toml",
        "hook": hook_settings(1, lab.ca_file),
        "cloud": CloudSettings(REGION, Credentials(SECRET_ID, SECRET_KEY, TOKEN), lab.endpoint, None, lab.ca_file, 2.0),
        "http_auth": HttpAuth.HMAC,
        "http_secret": None,
        "certificate_key": SigningKey("k", b"a secret of the tests"),
        "cls_topic": None,
        "fleet_above": 16,
    }
    return Settings(**{**given, **changes})


def followed_up(lab: Lab, tmp_path: Path) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Let the follow-up run once; returns its counts and its log lines."""
    out = StringIO()
    wiring = Wiring(settings_for(lab, tmp_path), JsonLog(out, common={}, hidden=()))
    counts = follow_up(load(tmp_path / "policies.toml"), wiring)
    return counts, [json.loads(line) for line in out.getvalue().splitlines()]


def items_of(text: str) -> list[dict[str, Any]]:
    """What a command printed as JSON, which keeps to its published schema and has no key that this does not name."""
    document = json.loads(text)
    jsonschema.validate(document, json.loads((SCHEMAS / f"{document['kind']}.json").read_text()))
    known = {field.name for field in msgspec.structs.fields(KINDS[document["kind"]])}
    assert {key for item in document["items"] for key in item} <= known
    return list(document["items"])

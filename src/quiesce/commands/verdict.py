"""What a run got, as a person reads it and as a pipeline does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quiesce.commands.exits import Exit
from quiesce.words import _

RUNNING = ("dispatched", "in_progress")


def exit_status(body: Mapping[str, Any]) -> Exit:
    """Say by a number what a run got."""
    if "targets" not in body:
        return Exit.REFUSED
    certificates = [target.get("certificate") or {} for target in body["targets"]]
    if any(certificate.get("release_confirmed") is False for certificate in certificates):
        return Exit.UNCONFIRMED
    if body["status"] in RUNNING:
        return Exit.UNFINISHED
    return Exit.OK if body["status"] in ("reached", "skipped") else Exit.WEAKER


def shown(body: Mapping[str, Any]) -> str:
    """Write it in a few lines."""
    if "targets" not in body:
        return _("refused: {reason}", reason=body.get("error", {}).get("message", ""))
    lines = [_("{status}: run {run_id} of policy {policy}").format(**body)]
    for target in body["targets"]:
        reasons = "; ".join((target.get("certificate") or {}).get("reasons", [])) or target["refusal"]
        ids = " ".join(one["SnapshotId"] for one in target["rollback"])
        lines.append(f"  {target['instance_id']}  {target['level']}  {ids}  {reasons}".rstrip())
    return "\n".join(lines)

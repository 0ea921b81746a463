"""Writes deploy/cam-policy.json, the CAM policy of the function's role, from the calls that src/ makes."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from scripts.package_function import NOT_THE_FUNCTION

ROOT = Path(__file__).resolve().parent.parent
POLICY = ROOT / "deploy" / "cam-policy.json"
_ACTION = re.compile(r"[A-Z][a-z]+[A-Z]\w+|Invoke")
_CALLERS = ("read", "once", "upload", "invoke", "pages")

EVERYTHING = ["*"]
"""No snapshot API is listed among those that take resources (CBS documentation, authorizable resource types)."""
GRANTS: dict[str, tuple[str, ...]] = {
    "DescribeInstances": ("cvm:DescribeInstances",),
    "DescribeDisks": ("cvm:DescribeDisks",),
    "DescribeSnapshots": ("cvm:DescribeSnapshots",),
    "CreateSnapshot": ("cvm:CreateSnapshot",),
    "ModifySnapshotAttribute": ("cvm:ModifySnapshotAttribute",),
    "ModifyResourceTags": ("tag:ModifyResourceTags",),
    "CreateSnapshotGroup": ("cvm:CreateSnapshotGroup",),
    "DescribeSnapshotGroups": ("cvm:DescribeSnapshotGroups",),
    "DeleteSnapshots": ("cvm:DeleteSnapshots", "cvm:DeleteSnapshot"),  # CAM's own list has the second, the API the first
    "DeleteSnapshotGroup": ("cvm:DeleteSnapshotGroup",),
    "CopySnapshotCrossRegions": ("cvm:CopySnapshotCrossRegions",),
    "DescribeSnapshotOverview": ("cvm:DescribeSnapshotOverview",),
    "ModifySnapshotsSharePermission": ("cvm:ModifySnapshotsSharePermission",),
    "DescribeSnapshotSharePermission": ("cvm:DescribeSnapshotSharePermission",),
    "PutEvents": ("eb:PutEvents",),
    "Invoke": ("scf:InvokeFunction",),
    "UploadLog": ("cls:UploadLog",),
    "SearchLog": ("cls:SearchLog",),
}
"""API action to what CAM calls it: CBS has the prefix of CVM (CVM documentation, CAM)."""
STATEMENTS: tuple[tuple[tuple[str, ...], list[str]], ...] = (
    (("DescribeInstances", "DescribeDisks", "DescribeSnapshots", "CreateSnapshot"), EVERYTHING),
    (("DescribeSnapshotOverview",), EVERYTHING),
    (("ModifySnapshotAttribute", "ModifyResourceTags"), EVERYTHING),
    (("CreateSnapshotGroup", "DescribeSnapshotGroups"), EVERYTHING),
    (("DeleteSnapshots", "DeleteSnapshotGroup"), EVERYTHING),
    (("CopySnapshotCrossRegions",), EVERYTHING),
    (("ModifySnapshotsSharePermission", "DescribeSnapshotSharePermission"), EVERYTHING),
    (("PutEvents",), ["qcs::eb:*:uin/*:eventbusid/*"]),
    (("Invoke",), ["qcs::scf:*:uin/*:namespace/default/function/quiesce"]),
    (("UploadLog",), ["qcs::cls:*:uin/*:topic/*"]),
    (("SearchLog",), ["qcs::cls:*:uin/*:topic/*"]),
)
"""What every run needs; the quota, seen beforehand; what labels; snapshot_group; on_partial and retention; copy; share;
QUIESCE_EVENT_BUS; fleets; QUIESCE_CLS_TOPIC; the report. Leave out what you do not use."""


def calls_of(source: Path) -> frozenset[str]:
    """Find every API action that the function's code names in a call; what the operator alone calls is not the role's."""
    others = [source / name for name in NOT_THE_FUNCTION]
    files = [path for path in source.rglob("*.py") if not any(path.is_relative_to(other) for other in others)]
    return frozenset(action for path in files for action in _calls(ast.parse(path.read_text())))


def policy() -> dict[str, object]:
    """Make the policy."""
    return {
        "version": "2.0",
        "statement": [
            {"effect": "allow", "action": [name for one in actions for name in GRANTS[one]], "resource": resource}
            for actions, resource in STATEMENTS
        ],
    }


def text() -> str:
    """Write the policy as the file has it."""
    return json.dumps(policy(), indent=2) + "\n"


def _calls(tree: ast.AST) -> set[str]:
    called = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) in _CALLERS]
    constants = [arg.value for node in called for arg in node.args if isinstance(arg, ast.Constant)]
    invoked = {"Invoke"} if any(_name(node.func) == "invoke" and node.keywords for node in called) else set()
    return invoked | {value for value in constants if isinstance(value, str) and _ACTION.fullmatch(value)}


def _name(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


if __name__ == "__main__":
    POLICY.write_text(text())

"""The execution role of the function: trusted by SCF, with one policy of this account's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quiesce.adapters.tencent import Answer, Api
from quiesce.deployment.spec import Deployment
from quiesce.deployment.steps import CAM, Step
from quiesce.errors import CloudError, DeploymentError
from quiesce.words import _

TRUST: dict[str, Any] = {
    "version": "2.0",
    "statement": [{"effect": "allow", "action": "name/sts:AssumeRole", "principal": {"service": ["scf.qcloud.com"]}}],
}
_LISTS = ("action", "resource", "service")
_PAGE = 200
FUNCTION_IN_POLICY = "namespace/default/function/quiesce"


class _RoleInfo(Answer, frozen=True):
    policy_document: str | None = None


class _Role(Answer, frozen=True):
    role_info: _RoleInfo


class _Named(Answer, frozen=True):
    policy_id: int
    policy_name: str


class _Policies(Answer, frozen=True):
    total_num: int
    list: tuple[_Named, ...] | None = None


class _Policy(Answer, frozen=True):
    policy_document: str | None = None


@dataclass(frozen=True)
class RoleComparison:
    """The steps to the role that is wanted, and the policies that it has beside ours."""

    steps: tuple[Step, ...]
    others: tuple[str, ...]


def read_policy(path: Path, spec: Deployment) -> dict[str, Any]:
    """Read the role's policy (deploy/cam-policy.json), with the name of this function; raises DeploymentError."""
    try:
        text = path.read_text(encoding="utf-8")
        document: dict[str, Any] = json.loads(
            text.replace(FUNCTION_IN_POLICY, f"namespace/{spec.namespace}/function/{spec.function}")
        )
    except (OSError, ValueError) as error:
        raise DeploymentError(_("cannot read the role's policy {path}: {error}", path=path, error=error)) from error
    return document


def compare(api: Api, spec: Deployment, policy: dict[str, Any]) -> RoleComparison:
    """Compare role and policy with what is wanted; changes nothing. Raises CloudError."""
    trust = _trust(api, spec.role)
    attached = _names(api, "ListAttachedRolePolicies", {"RoleName": spec.role}) if trust is not None else {}
    steps = [*_role_steps(spec, trust), *_policy_steps(api, spec, policy)]
    if spec.cam_policy not in attached:
        params = {"AttachRoleName": spec.role, "PolicyName": spec.cam_policy}
        detail = f"with the policy {spec.cam_policy}"
        steps.append(Step("attach", f"role {spec.role}", detail, CAM, "AttachRolePolicy", params))
    return RoleComparison(tuple(steps), tuple(sorted(set(attached) - {spec.cam_policy})))


def _trust(api: Api, name: str) -> object | None:
    try:
        return _document(api.read("GetRole", {"RoleName": name}, _Role).role_info.policy_document)
    except CloudError as error:
        if error.code != "InvalidParameter.RoleNotExist":
            raise
        return None


def _role_steps(spec: Deployment, trust: object | None) -> Iterator[Step]:
    params = {"RoleName": spec.role, "PolicyDocument": json.dumps(TRUST)}
    if trust is None:
        described = {**params, "Description": "Execution role of the function of Quiesce"}
        yield Step("create", f"role {spec.role}", "trusted by scf.qcloud.com", CAM, "CreateRole", described)
    elif _normal(trust) != _normal(TRUST):
        detail = "who may take it on: scf.qcloud.com alone"
        yield Step("change", f"role {spec.role}", detail, CAM, "UpdateAssumeRolePolicy", params)


def _policy_steps(api: Api, spec: Deployment, policy: dict[str, Any]) -> Iterator[Step]:
    params = {"PolicyName": spec.cam_policy, "PolicyDocument": json.dumps(policy)}
    subject = f"policy {spec.cam_policy}"
    policy_id = _names(api, "ListPolicies", {"Keyword": spec.cam_policy}).get(spec.cam_policy)
    if policy_id is None:
        yield Step("create", subject, f"{len(_actions(policy))} actions", CAM, "CreatePolicy", params)
        return
    there = _document(api.read("GetPolicy", {"PolicyId": policy_id}, _Policy).policy_document)
    if _normal(there) != _normal(policy):
        yield Step("change", subject, _difference(_actions(there), _actions(policy)), CAM, "UpdatePolicy", params)


def _names(api: Api, action: str, params: dict[str, str]) -> dict[str, int]:
    """List policies by name: every page, because a keyword fits more names than the one that is meant."""
    found: dict[str, int] = {}
    number, total = 1, 1
    while (number - 1) * _PAGE < total:
        page = api.read(action, {**params, "Page": number, "Rp": _PAGE}, _Policies)
        found.update((one.policy_name, one.policy_id) for one in page.list or ())
        number, total = number + 1, page.total_num
    return found


def _document(text: str | None) -> object:
    """Read a document as a value: CAM may give back another text than it was given."""
    try:
        return json.loads(text or "")
    except ValueError:
        return text


def _normal(document: Any) -> Any:
    """Make two documents equal that mean the same: one text is as good as a list of one, and lists have no order."""
    if isinstance(document, dict):
        listed = {key: [value] for key, value in document.items() if key in _LISTS and isinstance(value, str)}
        return {key: _normal(value) for key, value in {**document, **listed}.items()}
    if isinstance(document, list):
        return sorted((_normal(one) for one in document), key=json.dumps)
    return document


def _actions(document: object) -> set[str]:
    try:
        return {action for one in document["statement"] for action in one["action"]}  # type: ignore[index]  # else below
    except (LookupError, TypeError):
        return set()


def _difference(there: set[str], wanted: set[str]) -> str:
    added, gone = sorted(wanted - there), sorted(there - wanted)
    parts = [f"allow {', '.join(added)}"] * bool(added) + [f"no longer allow {', '.join(gone)}"] * bool(gone)
    return "; ".join(parts) or "resources or conditions differ"

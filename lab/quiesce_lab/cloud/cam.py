"""CAM: roles, policies, and which role has which policy. An account has them once, not by region."""

from __future__ import annotations

import json
import re
from typing import Any

from quiesce_lab.cloud.admin_model import Policy, Role
from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.errors import ApiError
from quiesce_lab.cloud.model import Estate
from quiesce_lab.cloud.times import naive_utc8

_NAME = re.compile(r"[A-Za-z0-9+=,.@_-]{1,128}")
_MAX_PAGE = 200
_SERVICES = frozenset(["scf.qcloud.com", "cls.cloud.tencent.com", "cloudaudit.cloud.tencent.com", "cvm.qcloud.com"])
_FIRST_ID = 100001


def trusts(role: Role, service: str) -> bool:
    """Tell whether a service may take the role on."""
    statements = role.document["statement"]
    return any(service in one["principal"].get("service", []) for one in statements if one["effect"] == "allow")


def get_role(context: Context) -> Answer:
    """Show a role."""
    with context.world.lock:
        role = _role(context, context.body.get("RoleName", ""))
        return {
            "RoleInfo": {
                "RoleId": role.role_id,
                "RoleName": role.name,
                "PolicyDocument": _text(role.document),
                "Description": role.description,
                "AddTime": naive_utc8(role.changed_s),
                "UpdateTime": naive_utc8(role.changed_s),
                "ConsoleLogin": 0,
                "RoleType": "user",
                "SessionDuration": 7200,
                "DeletionTaskId": None,
                "RoleArn": f"qcs::cam::uin/{context.estate.uin}:roleName/{role.name}",
                "Tags": None,
            }
        }


def create_role(context: Context) -> Answer:
    """Make a role that services may take on."""
    body = context.body
    _check_name(body["RoleName"], "InvalidParameter.RoleNameError")
    document = _trust(body["PolicyDocument"])
    with context.world.lock:
        roles = _account(context).roles
        if body["RoleName"] in roles:
            raise ApiError("InvalidParameter.RoleNameInUse", f"There is a role `{body['RoleName']}` already.")
        role_id = str(4611686018400000000 + len(roles))
        roles[body["RoleName"]] = Role(role_id, body["RoleName"], document, body.get("Description", ""), context.now_s())
        return {"RoleId": role_id}


def update_assume_role_policy(context: Context) -> Answer:
    """Change who may take a role on."""
    document = _trust(context.body["PolicyDocument"])
    with context.world.lock:
        _role(context, context.body.get("RoleName", "")).document = document
    return {}


def list_policies(context: Context) -> Answer:
    """List policies whose name holds the keyword; those of the account only, for the lab has no others."""
    body = context.body
    with context.world.lock:
        fitting = [one for one in _account(context).policies.values() if body.get("Keyword", "") in one.name]
        shown = [
            {
                "PolicyId": one.policy_id,
                "PolicyName": one.name,
                "Type": 1,
                "Description": one.description,
                "AddTime": naive_utc8(one.changed_s),
                "CreateMode": 2,
                "Attachments": sum(one.policy_id in role.policies for role in _account(context).roles.values()),
            }
            for one in _page(fitting, body)
        ]
    return {"TotalNum": len(fitting), "List": shown, "ServiceTypeList": []}


def get_policy(context: Context) -> Answer:
    """Show a policy with its document."""
    with context.world.lock:
        policy = _account(context).policies.get(context.body["PolicyId"])
        if policy is None:
            raise ApiError("ResourceNotFound.PolicyIdNotFound", "There is no such policy.")
        return {
            "PolicyName": policy.name,
            "Description": policy.description,
            "Type": 1,
            "PolicyDocument": _text(policy.document),
            "AddTime": naive_utc8(policy.changed_s),
            "UpdateTime": naive_utc8(policy.changed_s),
            "PresetAlias": "",
            "IsServiceLinkedRolePolicy": 0,
        }


def create_policy(context: Context) -> Answer:
    """Make a policy."""
    body = context.body
    _check_name(body["PolicyName"], "InvalidParameter.PolicyNameError")
    document = _grants(body["PolicyDocument"])
    with context.world.lock:
        policies = _account(context).policies
        if any(one.name == body["PolicyName"] for one in policies.values()):
            raise ApiError("FailedOperation.PolicyNameInUse", f"There is a policy `{body['PolicyName']}` already.")
        policy_id = _FIRST_ID + len(policies)
        policies[policy_id] = Policy(policy_id, body["PolicyName"], document, body.get("Description", ""), context.now_s())
        return {"PolicyId": policy_id}


def update_policy(context: Context) -> Answer:
    """Change a policy's document."""
    with context.world.lock:
        policy = _policy(context)
        if "PolicyDocument" in context.body:
            policy.document = _grants(context.body["PolicyDocument"])
        policy.changed_s = context.now_s()
        return {"PolicyId": policy.policy_id}


def attach_role_policy(context: Context) -> Answer:
    """Give a role a policy; one that it has already is no error."""
    with context.world.lock:
        role, policy = _role(context, context.body.get("AttachRoleName", "")), _policy(context)
        if policy.policy_id not in role.policies:
            role.policies.append(policy.policy_id)
    return {}


def list_attached_role_policies(context: Context) -> Answer:
    """List the policies of a role."""
    with context.world.lock:
        role = _role(context, context.body.get("RoleName", ""))
        policies = [_account(context).policies[one] for one in role.policies]
        shown = [
            {
                "PolicyId": one.policy_id,
                "PolicyName": one.name,
                "AddTime": naive_utc8(one.changed_s),
                "PolicyType": "User",
                "CreateMode": 2,
                "Deactived": 0,
                "DeactivedDetail": [],
                "Description": one.description,
            }
            for one in _page(policies, context.body)
        ]
    return {"TotalNum": len(policies), "List": shown}


def _account(context: Context) -> Estate:
    return context.world.estate(context.estate.uin)


def _role(context: Context, name: str) -> Role:
    role = _account(context).roles.get(name)
    if role is None:
        raise ApiError("InvalidParameter.RoleNotExist", f"There is no role `{name}`.")
    return role


def _policy(context: Context) -> Policy:
    wanted = context.body.get("PolicyId"), context.body.get("PolicyName")
    for one in _account(context).policies.values():
        if one.policy_id == wanted[0] or (wanted[0] is None and one.name == wanted[1]):
            return one
    raise ApiError("InvalidParameter.PolicyIdNotExist", "There is no such policy.")


def _page(items: list[Policy], body: dict[str, Any]) -> list[Policy]:
    number, size = body.get("Page", 1), body.get("Rp", 20)
    if not 1 <= number <= _MAX_PAGE or not 1 <= size <= _MAX_PAGE:
        raise ApiError("InvalidParameter.ParamError", f"`Page` and `Rp` are from 1 to {_MAX_PAGE}.")
    return items[(number - 1) * size : number * size]


def _check_name(name: str, code: str) -> None:
    if not _NAME.fullmatch(name):
        raise ApiError(code, "A name is 1 to 128 of A-Z a-z 0-9 + = , . @ - _.")


def _trust(text: str) -> dict[str, Any]:
    document = _document(text)
    for one in document["statement"]:
        if one.get("action") not in ("name/sts:AssumeRole", "sts:AssumeRole", ["name/sts:AssumeRole"]):
            raise ApiError("InvalidParameter.PolicyDocumentError", "A role's document allows name/sts:AssumeRole.")
        services = one.get("principal", {}).get("service")
        if not isinstance(services, list) or not services:
            raise ApiError("InvalidParameter.PrincipalError", "The lab knows principals that are services.")
        if unknown := set(services) - _SERVICES:
            raise ApiError("InvalidParameter.PrincipalServiceNotExist", f"There is no service `{unknown.pop()}`.")
    return document


def _grants(text: str) -> dict[str, Any]:
    document = _document(text)
    for one in document["statement"]:
        actions, resources = one.get("action"), one.get("resource")
        if not actions or not resources or not all(re.fullmatch(r"(name/)?\w+:[\w*]+", action) for action in actions):
            raise ApiError("InvalidParameter.PolicyDocumentError", "A statement needs `action` and `resource`.")
    return document


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
        well = document["version"] == "2.0" and document["statement"]
        well = well and all(one["effect"] in ("allow", "deny") for one in document["statement"])
    except (ValueError, LookupError, TypeError) as error:
        raise ApiError("InvalidParameter.PolicyDocumentError", f"The document is wrong: {error!r}") from error
    if not well:
        raise ApiError("InvalidParameter.PolicyDocumentError", "The document needs version 2.0 and statements.")
    result: dict[str, Any] = document
    return result


def _text(document: dict[str, Any]) -> str:
    """Write a document anew: what is read need not be the text that was written."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))

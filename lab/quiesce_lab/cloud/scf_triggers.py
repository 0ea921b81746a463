"""Triggers of SCF functions: timers and function URLs.

What is read differs from what was written, as on the platform: ``Enable`` is sent as OPEN or CLOSE and read as 1 or 0, and
a timer's description is sent as cron fields and read as JSON (Tencent's own tencent-component-toolkit, modules/triggers).
"""

from __future__ import annotations

import json
import re
from typing import Any

from quiesce_lab.cloud import filters
from quiesce_lab.cloud.admin_model import DeployedFunction, Trigger
from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.errors import ApiError
from quiesce_lab.cloud.scf_admin import find_function
from quiesce_lab.cloud.times import naive_utc8

MOST_OF_A_TYPE = 10
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
_CRON_FIELDS = 7
_MAX_ARGUMENT_BYTES = 4096
_SWITCH = {"OPEN": True, "CLOSE": False}


def create_trigger(context: Context) -> Answer:
    """Make a timer or the function URL of a version."""
    body = context.body
    with context.world.lock:
        function, kind = find_function(context), _kind(body)
        if function.state(context.now_s()) != "Active":
            raise ApiError("FailedOperation.CreateTrigger", "The function is not Active.")
        if not _NAME.fullmatch(body["TriggerName"]):
            raise ApiError("InvalidParameterValue.TriggerName", "A name is at most 100 of A-Z a-z 0-9 _ -.")
        same = [one for one in function.triggers.values() if one.kind == kind]
        if any(one.name == body["TriggerName"] for one in function.triggers.values()):
            raise ApiError("ResourceInUse.TriggerName", f"There is a trigger `{body['TriggerName']}` already.")
        qualifier = body.get("Qualifier", "$LATEST")
        if kind == "http" and any(one.qualifier == qualifier for one in same):
            raise ApiError("ResourceInUse.Trigger", f"`{qualifier}` has a URL already.")
        if len(same) >= MOST_OF_A_TYPE:
            raise ApiError("LimitExceeded.Trigger", f"A function has at most {MOST_OF_A_TYPE} triggers of a type.")
        made = Trigger(
            name=body["TriggerName"],
            kind=kind,
            desc=_desc(kind, body.get("TriggerDesc", "")),
            qualifier=qualifier,
            enabled=_switch(body.get("Enable", "CLOSE" if kind == "timer" else "OPEN")),
            argument=_argument(kind, body),
            changed_s=context.now_s(),
        )
        function.triggers[(kind, made.name)] = made
        return {"TriggerInfo": _view(made, function)}


def update_trigger(context: Context) -> Answer:
    """Change what the request has of a trigger."""
    body = context.body
    with context.world.lock:
        trigger = _find(context)
        if "TriggerDesc" in body:
            trigger.desc = _desc(trigger.kind, body["TriggerDesc"])
        if "CustomArgument" in body:
            trigger.argument = _argument(trigger.kind, body)
        if "Enable" in body:
            trigger.enabled = _switch(body["Enable"])
        trigger.changed_s = context.now_s()
    return {}


def update_trigger_status(context: Context) -> Answer:
    """Switch a timer on or off."""
    with context.world.lock:
        if context.body["Type"] not in ("timer", "cos", "ckafka"):
            raise ApiError("InvalidParameterValue.Type", "The status of this type cannot be changed here.")
        _find(context).enabled = _switch(context.body["Enable"])
    return {}


def delete_trigger(context: Context) -> Answer:
    """Remove a trigger."""
    with context.world.lock:
        trigger = _find(context)
        del find_function(context).triggers[(trigger.kind, trigger.name)]
    return {}


def list_triggers(context: Context) -> Answer:
    """List a function's triggers, the last changed first."""
    with context.world.lock:
        function = find_function(context)
        triggers = sorted(function.triggers.values(), key=lambda one: one.changed_s, reverse=True)
        views = [_view(one, function) for one in filters.page(triggers, context.body)]
    return {"TotalCount": len(triggers), "Triggers": views}


def _find(context: Context) -> Trigger:
    body, function = context.body, find_function(context)
    trigger = function.triggers.get((_kind(body), body["TriggerName"]))
    if trigger is None or trigger.qualifier != body.get("Qualifier", "$LATEST"):
        raise ApiError("ResourceNotFound.Trigger", f"There is no trigger `{body['TriggerName']}` of that qualifier.")
    return trigger


def _kind(body: dict[str, Any]) -> str:
    kind: str = body["Type"]
    if kind not in ("timer", "http"):
        raise ApiError("InvalidParameterValue.Type", f"The lab has no triggers of type `{kind}`.")
    return kind


def _switch(text: str) -> bool:
    if text not in _SWITCH:
        raise ApiError("InvalidParameterValue.Enable", "`Enable` is OPEN or CLOSE.")
    return _SWITCH[text]


def _argument(kind: str, body: dict[str, Any]) -> str:
    argument: str = body.get("CustomArgument", "")
    if len(argument.encode()) > _MAX_ARGUMENT_BYTES or (argument and kind != "timer"):
        raise ApiError("InvalidParameterValue.CustomArgument", "Timers alone take it, and no more than 4 KB.")
    return argument


def _desc(kind: str, text: str) -> dict[str, Any]:
    try:
        read: Any = json.loads(text) if text.startswith("{") else {"cron": text}
    except ValueError as error:
        raise ApiError("InvalidParameterValue.TriggerDesc", "`TriggerDesc` is not JSON.") from error
    if kind == "timer":
        if set(read) != {"cron"} or len(str(read["cron"]).split()) != _CRON_FIELDS:
            raise ApiError("InvalidParameterValue.TriggerDesc", f"A cron expression has {_CRON_FIELDS} fields.")
        return {"cron": read["cron"]}
    if read.get("AuthType") not in ("CAM", "NONE") or not isinstance(read.get("NetConfig"), dict):
        raise ApiError("InvalidParameterValue.TriggerDesc", "`AuthType` is CAM or NONE, and `NetConfig` is an object.")
    net = {name: bool(read["NetConfig"].get(name, False)) for name in ("EnableIntranet", "EnableExtranet")}
    return {"AuthType": read["AuthType"], "NetConfig": net, "CorsConfig": read.get("CorsConfig")}


def _view(trigger: Trigger, function: DeployedFunction) -> Answer:
    desc = trigger.desc
    if trigger.kind == "http":
        # The addresses are told together with what was asked for (documented shape of a function URL).
        inside, outside = f"{function.name}.in.scf.invalid", f"{function.name}.scf.invalid"
        net = {**desc["NetConfig"], "IntranetUrl": f"https://{inside}", "ExtranetUrl": f"https://{outside}"}
        desc = {**desc, "NetConfig": net}
    return {
        "TriggerName": trigger.name,
        "Type": trigger.kind,
        "TriggerDesc": json.dumps(desc, separators=(",", ":")),
        "Qualifier": trigger.qualifier,
        "Enable": int(trigger.enabled),
        "CustomArgument": trigger.argument or None,
        "AvailableStatus": "Available",
        "BindStatus": "",
        "Description": None,
        "AddTime": naive_utc8(trigger.changed_s),
        "ModTime": naive_utc8(trigger.changed_s),
    }

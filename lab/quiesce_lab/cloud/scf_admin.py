"""SCF's functions as resources: CreateFunction, GetFunction, GetFunctionAddress, the two updates, and asynchronous retries.

What a call changes takes ``function_seconds``; until then the function is not Active and refuses any other change (SCF
documentation, function status).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
import zipfile
from typing import Any

from quiesce_lab.cloud.admin_model import DeployedFunction
from quiesce_lab.cloud.cam import trusts
from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.errors import ApiError
from quiesce_lab.cloud.scf_form import DEFAULTS, SETTINGS, check_runtime, check_settings
from quiesce_lab.cloud.times import naive_utc8

SERVICE = "scf.qcloud.com"
MAX_ZIP_BYTES = {"CreateFunction": 50 * 1024 * 1024, "UpdateFunctionCode": 20 * 1024 * 1024}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,58}[A-Za-z0-9]")
_RETRIES = (0, 2)
_KEPT_S = (60, 21600)
"""SCF documentation, dead letters and asynchronous retries: 0 to 2 times; 6 h at the most. The lower bound is the lab's."""


def create_function(context: Context) -> Answer:
    """Make a function. Its role must be there and trust SCF."""
    body = context.body
    if not _NAME.fullmatch(body["FunctionName"]):
        raise ApiError(
            "InvalidParameterValue.FunctionName", "A name is 2 to 60 of A-Z a-z 0-9 _ - and begins with a letter."
        )
    if body.get("Namespace", "default") != "default":
        raise ApiError("ResourceNotFound.Namespace", "The lab has the namespace `default` only.")
    check_runtime(body["Runtime"])
    code = _code(body["Code"], "CreateFunction", body["Handler"])
    settings = {**DEFAULTS, **{name: value for name, value in body.items() if name in SETTINGS}}
    check_settings(settings)
    with context.world.lock:
        _insist_on_role(context, settings.get("Role"))
        functions, now_s = context.estate.deployed, context.now_s()
        if body["FunctionName"] in functions:
            raise ApiError("ResourceInUse.FunctionName", f"There is a function `{body['FunctionName']}` already.")
        functions[body["FunctionName"]] = DeployedFunction(
            name=body["FunctionName"],
            namespace="default",
            handler=body["Handler"],
            runtime=body["Runtime"],
            code=code,
            settings=settings,
            changed_s=now_s,
            active_from_s=now_s + context.settings.function_seconds,
        )
    return {}


def get_function(context: Context) -> Answer:
    """Show a function, with its environment in the clear, as the platform does."""
    with context.world.lock:
        one = find_function(context)
        shown: Answer = {
            "FunctionName": one.name,
            "Namespace": one.namespace,
            "Qualifier": "$LATEST",
            "Handler": one.handler,
            "Runtime": one.runtime,
            "Type": "Event",
            "CodeSize": len(one.code),
            "Status": one.state(context.now_s()),
            "StatusDesc": "",
            "StatusReasons": [],
            "AvailableStatus": "Available",
            "ModTime": naive_utc8(one.changed_s),
            "Triggers": [],
            **one.settings,
        }
    shown["PublicNetConfig"] = {**shown["PublicNetConfig"], "EipConfig": {"EipStatus": "DISABLE", "EipAddress": []}}
    return shown


def get_function_address(context: Context) -> Answer:
    """Say what the code's SHA-256 is; the lab keeps no copy to download."""
    with context.world.lock:
        one = find_function(context)
        kept = one.code + b"repacked" * context.settings.repacks_code
        return {"Url": f"https://code.invalid/{one.name}.zip", "CodeSha256": hashlib.sha256(kept).hexdigest()}


def update_function_code(context: Context) -> Answer:
    """Replace the code, and the handler where one is given."""
    body = context.body
    with context.world.lock:
        one = find_function(context)
        _insist_on_active(one, context, "FailedOperation.UpdateFunctionCode")
        handler = body.get("Handler", one.handler)
        code = _code(body.get("Code") or body, "UpdateFunctionCode", handler)
        one.code, one.handler = code, handler
        _changed(one, context)
    return {}


def update_function_configuration(context: Context) -> Answer:
    """Replace the settings that the request has; the others stay."""
    body = context.body
    with context.world.lock:
        one = find_function(context)
        _insist_on_active(one, context, "FailedOperation.UpdateFunctionConfiguration")
        if body.get("Runtime", one.runtime) != one.runtime:
            raise ApiError("InvalidParameterValue.Runtime", "The runtime of a function cannot be changed.")
        settings = {**one.settings, **{name: value for name, value in body.items() if name in SETTINGS}}
        check_settings(settings)
        _insist_on_role(context, settings.get("Role"))
        one.settings = settings
        _changed(one, context)
    return {}


def get_function_event_invoke_config(context: Context) -> Answer:
    """Show how often and how long asynchronous events are tried again."""
    with context.world.lock:
        one = find_function(context)
        return {"AsyncTriggerConfig": {"RetryConfig": [{"RetryNum": one.retries}], "MsgTTL": one.kept_s}}


def update_function_event_invoke_config(context: Context) -> Answer:
    """Set how often and how long asynchronous events are tried again."""
    config = context.body["AsyncTriggerConfig"]
    retries = [one.get("RetryNum") for one in config.get("RetryConfig", [])]
    kept_s = config.get("MsgTTL")
    if len(retries) != 1 or retries[0] is None or not _RETRIES[0] <= retries[0] <= _RETRIES[1]:
        raise ApiError("LimitExceeded.RetryNum", f"`RetryNum` is from {_RETRIES[0]} to {_RETRIES[1]}.")
    if kept_s is None or not _KEPT_S[0] <= kept_s <= _KEPT_S[1]:
        raise ApiError("LimitExceeded.MsgTTL", f"`MsgTTL` is from {_KEPT_S[0]} to {_KEPT_S[1]} seconds.")
    with context.world.lock:
        one = find_function(context)
        one.retries, one.kept_s = retries[0], kept_s
    return {}


def find_function(context: Context) -> DeployedFunction:
    """Find the function that a request names. The world's lock is held. Raises ApiError."""
    name = context.body.get("FunctionName", "")
    one = context.estate.deployed.get(name)
    if one is None or context.body.get("Namespace", "default") != one.namespace:
        raise ApiError("ResourceNotFound.FunctionName", f"There is no function `{name}`.")
    return one


def _changed(one: DeployedFunction, context: Context) -> None:
    one.changed_s, one.status = context.now_s(), "Updating"
    one.active_from_s = one.changed_s + context.settings.function_seconds


def _insist_on_active(one: DeployedFunction, context: Context, code: str) -> None:
    state = one.state(context.now_s())
    if state not in ("Active", "UpdateFailed"):
        raise ApiError(code, f"The function is {state}; it can be changed when it is Active.")


def _insist_on_role(context: Context, name: str | None) -> None:
    if not name:
        return
    role = context.world.estate(context.estate.uin).roles.get(name)
    if role is None:
        raise ApiError("ResourceNotFound.Role", f"There is no role `{name}`.")
    if not trusts(role, SERVICE):
        raise ApiError("FailedOperation.CallRoleFailed", f"The role `{name}` does not trust {SERVICE}.")


def _code(code: dict[str, Any], action: str, handler: str) -> bytes:
    """Decode ``ZipFile`` and look for the handler's file at its root."""
    try:
        content = base64.b64decode(code.get("ZipFile") or "", validate=True)
    except binascii.Error as error:
        raise ApiError("InvalidParameterValue.ZipFileBase64BinasciiError", "`ZipFile` is not base64.") from error
    if len(content) > MAX_ZIP_BYTES[action]:
        raise ApiError("InvalidParameterValue.ZipFile", f"`ZipFile` is larger than {MAX_ZIP_BYTES[action]} bytes.")
    try:
        names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    except zipfile.BadZipFile as error:
        raise ApiError("InvalidParameterValue.ZipFile", "`ZipFile` is no zip archive.") from error
    if f"{handler.partition('.')[0]}.py" not in names:
        raise ApiError("InvalidParameterValue.Handler", f"The code has no file for the handler `{handler}`.")
    return content

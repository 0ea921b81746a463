"""SCF's Invoke: one synchronous invocation, or one asynchronous event that is delivered at least once."""

from __future__ import annotations

import json
from typing import Any

from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.errors import ApiError

MAX_EVENT_BYTES = 128 * 1024
MAX_CALL_BYTES = 6 * 1024 * 1024
"""SCF, quotas: an asynchronous event, and a synchronous one."""


def invoke(context: Context) -> Answer:
    """Run or enqueue a function of the namespace ``default`` (API reference, Invoke)."""
    body, kind = context.body, context.body.get("InvocationType", "RequestResponse")
    if kind not in ("RequestResponse", "Event"):
        raise ApiError("InvalidParameterValue.InvocationType", f"There is no InvocationType `{kind}`.")
    with context.world.lock:
        function = context.estate.functions.get(body["FunctionName"])
    if function is None or body.get("Namespace", "default") != "default":
        raise ApiError("ResourceNotFound.Function", f"There is no function `{body['FunctionName']}`.")
    event = _event(body.get("ClientContext") or "{}", MAX_EVENT_BYTES if kind == "Event" else MAX_CALL_BYTES)
    if kind == "Event":
        function.enqueue(event, context.call.request_id)
        return _result(context, "")
    value, error = function.call(event)
    return _result(context, error or json.dumps(value), failed=bool(error))


def _event(text: str, limit: int) -> Any:
    if len(text.encode()) > limit:
        raise ApiError("InvalidParameter.RequestTooLarge", f"The event is larger than {limit} bytes.")
    try:
        return json.loads(text)
    except ValueError as error:
        raise ApiError("InvalidParameter.Payload", "ClientContext is not JSON.") from error


def _result(context: Context, message: str, *, failed: bool = False) -> Answer:
    return {
        "Result": {
            "Log": "",
            "RetMsg": message,
            "ErrMsg": "",
            "MemUsage": 0,
            "Duration": 0,
            "BillDuration": 0,
            "FunctionRequestId": context.call.request_id,
            "InvokeResult": 1 if failed else 0,
        }
    }

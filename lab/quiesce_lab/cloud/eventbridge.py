"""EventBridge's PutEvents: events of an application's own on a custom bus."""

from __future__ import annotations

import json

from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.errors import ApiError

MAX_EVENT_BYTES = 64 * 1024
"""EventBridge documentation, limits."""
_NEEDED = ("Source", "Data", "Type", "Subject", "Time")


def put_events(context: Context) -> Answer:
    """Put every event on the bus, or none."""
    body = context.body
    with context.world.lock:
        bus = context.estate.event_buses.get(body["EventBusId"])
        if bus is None:
            raise ApiError("ResourceNotFound.EventBus", f"There is no event bus `{body['EventBusId']}`.")
        for event in body["EventList"]:
            _insist_on_form(event)
        bus.extend(body["EventList"])
    return {}


def _insist_on_form(event: dict[str, object]) -> None:
    missing = [name for name in _NEEDED if not event.get(name)]
    if missing:
        raise ApiError("InvalidParameter", f"The event has no `{missing[0]}`.")
    text = str(event["Data"])
    if len(text.encode()) > MAX_EVENT_BYTES:
        raise ApiError("LimitExceeded", f"The event is larger than {MAX_EVENT_BYTES} bytes.")
    try:
        json.loads(text)
    except ValueError as error:
        raise ApiError("InvalidParameterValue", "`Data` is JSON in a string.") from error

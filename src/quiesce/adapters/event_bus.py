"""What a run got, as an event on a custom bus of EventBridge: for whoever waits for it, or is to be woken by it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from quiesce.adapters.tencent import Cloud, Nothing
from quiesce.policies import OUR_SOURCE

MAX_DATA_BYTES = 60_000
"""EventBridge takes 64 KB an event (limits), of which the envelope has its part."""
KIND = "quiesce:run"


def publish(cloud: Cloud, bus_id: str, run_id: str, policy: str, status: str, data: Mapping[str, object]) -> None:
    """Put one event on a bus, once. Raises CloudError; the caller decides what that means."""
    event = {
        "Source": OUR_SOURCE,
        "Type": f"{KIND}:{status}",
        "Subject": policy,
        "Time": time.time_ns() // 1_000_000,
        "Id": f"{run_id}-{status}",
        "Data": _fitting(data),
    }
    cloud.api("eb", "2021-04-16").once("PutEvents", {"EventBusId": bus_id, "EventList": [event]}, Nothing)


def _fitting(data: Mapping[str, object]) -> str:
    """Write the data; where it is too long for an event without its targets, of which GET /runs/<id> tells."""
    whole = json.dumps(data)
    if len(whole) <= MAX_DATA_BYTES:
        return whole
    return json.dumps({**{key: value for key, value in data.items() if key != "targets"}, "targets_left_out": True})

"""Admission of a request: signature, service, action, region and form, before anything is carried out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quiesce_lab.cloud import shapes
from quiesce_lab.cloud.catalog import ACTIONS, SERVICES, Action
from quiesce_lab.cloud.errors import ApiError
from quiesce_lab.cloud.world import REGIONS

MAX_BODY = 10 * 1024 * 1024
"""Limit of a POST signed with TC3 (API 3.0, request structure page)."""


@dataclass(frozen=True)
class Request:
    """One HTTP request; header names are lower-case. ``body`` is None when it was longer than ``MAX_BODY``."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    arrived_at: float


def action_of(service_name: str, headers: Mapping[str, str]) -> Action:
    """Find the action among those of the service that the signature names.

    Raises ApiError ``MissingParameter``, ``NoSuchVersion`` or ``InvalidAction``.
    """
    name, version = headers.get("x-tc-action"), headers.get("x-tc-version")
    if not name or not version:
        raise ApiError("MissingParameter", "The headers X-TC-Action and X-TC-Version must be present.")
    service = SERVICES.get(service_name)
    action = ACTIONS.get((service_name, name))
    if service and version != service.version:
        raise ApiError("NoSuchVersion", f"The service `{service_name}` has no version `{version}`.")
    if action is None:
        raise ApiError("InvalidAction", f"The service `{service_name}` of the signature has no action `{name}`.")
    return action


def check_region(action: Action, headers: Mapping[str, str]) -> None:
    """Check X-TC-Region. Raises ApiError ``MissingParameter`` or ``UnsupportedRegion``."""
    region = headers.get("x-tc-region")
    if not region and action.service.needs_region:
        raise ApiError("MissingParameter", "The header X-TC-Region must be present.")
    if region and region not in REGIONS:
        raise ApiError("UnsupportedRegion", f"The region `{region}` is not supported.")


def fields_of(action: Action, request: Request) -> dict[str, Any]:
    """Read the fields of a request. Raises ApiError ``UnsupportedProtocol`` or ``InvalidParameter``."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != ("application/octet-stream" if action.octets else "application/json"):
        raise ApiError("UnsupportedProtocol", f"The action does not take the Content-Type `{content_type}`.")
    if action.octets:
        prefix = f"x-{action.service.name}-"
        names = {prefix + name.lower(): name for name in shapes.fields_of(_model(action))}
        sent = [name for name in request.headers if name.startswith(prefix)]
        return {names.get(name, name): request.headers[name] for name in sent}
    try:
        body = json.loads(request.body or b"")
    except ValueError as error:
        raise ApiError("InvalidParameter", "The body is not JSON.") from error
    if not isinstance(body, dict):
        raise ApiError("InvalidParameter", "The body is not a JSON object.")
    return body


def check_form(action: Action, body: dict[str, Any]) -> None:
    """Check the fields against the SDK's model of the request.

    Raises ApiError ``UnknownParameter``, ``InvalidParameter`` or ``MissingParameter``, and ``UnsupportedOperation`` for
    what the platform has and the lab has not.
    """
    shapes.check(_model(action), body, required=action.required)
    for name in action.unmodelled:
        if name in body:
            raise ApiError("UnsupportedOperation", f"The lab does not model the parameter `{name}`.")


def _model(action: Action) -> type:
    return shapes.request_model(action.service.models, action.name)

"""Events of EventBridge: which policy one starts, and what it is called in a refusal.

A target of a rule gets the event as it is (CloudEvents), or in a list of one where batching is on (EventBridge, event
structure and SCF target). Which events start what is the policies' choice: ``[[policies.<name>.events]]``.
"""

from __future__ import annotations

from collections.abc import Mapping

from quiesce.errors import RequestError
from quiesce.policies import EventFilter, Policy
from quiesce.words import _

SPECS = ("1.0", "1.0.2")


def unwrap(event: object) -> Mapping[str, object] | None:
    """Return the one event that was delivered, alone or in a list of one; None when it is none of EventBridge's.

    Raises RequestError for a list of several: one run answers for one event.
    """
    if isinstance(event, dict) and isinstance(event.get("EventList"), list):
        listed = event["EventList"]
        if len(listed) != 1 or not isinstance(listed[0], dict):
            raise RequestError(
                _(
                    "this is a batch of {count} EventBridge events; turn batch delivery off in the rule's target",
                    count=len(listed),
                )
            )
        event = listed[0]
    return event if isinstance(event, dict) and "specversion" in event else None


def policy_for(event: Mapping[str, object], policies: Mapping[str, Policy]) -> tuple[str, str]:
    """Find the policy that an event starts, and the key by which its second delivery is known. Raises RequestError."""
    version = event.get("specversion")
    if version not in SPECS:
        raise RequestError(
            _(
                "this EventBridge event has specversion {version!r}; known are {specs}",
                version=version,
                specs=", ".join(SPECS),
            )
        )
    source, kind, key = (str(event.get(name) or "")[:200] for name in ("source", "type", "id"))
    if not (source and kind and key):
        raise RequestError(_("this EventBridge event lacks its source, its type or its id"))
    found = [name for name, policy in policies.items() if any(_fits(event, one) for one in policy.events)]
    if not found:
        raise RequestError(
            _(
                "no policy is started by the EventBridge event {kind!r} of {source!r} (policies.*.events)",
                kind=kind,
                source=source,
            )
        )
    if len(found) > 1:
        raise RequestError(
            _(
                "the EventBridge event {kind!r} would start {found}; let one match",
                kind=kind,
                found=" and ".join(sorted(found)),
            )
        )
    return found[0], f"{source}\n{key}"


def _fits(event: Mapping[str, object], wanted: EventFilter) -> bool:
    if event.get("source") != wanted.source or event.get("type") not in wanted.types:
        return False
    # One page of the documentation writes "subjuect".
    subject = event.get("subject", event.get("subjuect"))
    return not wanted.subjects or subject in wanted.subjects

"""A run of many instances: split into batches, each an order that this function sends to itself (docs/adr/0011).

The account's rate limit is shared out beforehand, because workers cannot talk to each other: each gets so many of the calls
that any second may have, and keeps to them whatever the others do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from quiesce.certificate import SigningKey
from quiesce.errors import PolicyError, RequestError
from quiesce.model import TargetPlan
from quiesce.words import _

CALLS_PER_S = 20
"""CreateSnapshot, by account and region (API reference)."""
MAX_EVENT_BYTES = 128 * 1024
"""Of an asynchronous event (SCF, quotas)."""
START_S = 10.0
"""What a cold start and the first look-ups of a worker may take."""
TURN_S = 1.3
"""How long one allowance of the rate is taken by one target: its window, and getting the hold."""
KIND: Literal["quiesce-batch"] = "quiesce-batch"


class Assignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One instance of a batch, as it was planned."""

    instance_id: str
    address: str
    disks: tuple[str, ...]


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One batch of a run, ``number`` 1 to ``of``. ``allowance`` is how many CreateSnapshot it may send in any second."""

    kind: Literal["quiesce-batch"] = KIND
    run_id: str
    policy: str
    trigger: str
    number: int
    of: int
    allowance: int
    quota_seen: bool
    """Whether the snapshot quota takes all of the run, so that no worker has to look: they would all look at once."""
    targets: tuple[Assignment, ...]
    seal: str = ""


def split(
    plans: Sequence[TargetPlan], trigger: str, *, time_s: float, key: SigningKey, quota_seen: bool = False
) -> tuple[Batch, ...]:
    """Share the targets out among as many workers as the rate limit feeds. ``time_s``: what one may spend on its targets.

    Raises PolicyError when they would not be done in time.
    """
    allowance = max(calls_of(plan) for plan in plans)
    workers = min(max(1, CALLS_PER_S // allowance), len(plans))
    each = math.ceil(len(plans) / workers)
    if START_S + each * TURN_S > time_s:
        most = int(max(0.0, time_s - START_S) / TURN_S) * workers
        raise PolicyError(
            (
                _(
                    "{count} instances at {calls_per_s} snapshots a second do not fit into the function's "
                    "timeout, {most} do: raise the timeout, or split the policy",
                    count=len(plans),
                    calls_per_s=CALLS_PER_S,
                    most=most,
                ),
            )
        )
    chunks = [plans[start : start + each] for start in range(0, len(plans), each)]
    batches = [_batch(chunk, trigger, number, len(chunks), allowance) for number, chunk in enumerate(chunks, 1)]
    unsealed = [msgspec.structs.replace(one, quota_seen=quota_seen) for one in batches]
    return tuple(msgspec.structs.replace(one, seal=_seal(one, key)) for one in unsealed)


def calls_of(plan: TargetPlan) -> int:
    """Count the calls that one target may send at once: one per disk, and before them one for a group of them."""
    return len(plan.disks) + plan.grouped


def is_batch(event: object) -> bool:
    """Whether an event says that it is a batch."""
    return isinstance(event, dict) and event.get("kind") == KIND


def read(event: object, key: SigningKey) -> Batch:
    """Read an event that says that it is a batch. Raises RequestError unless this function's key sealed exactly this."""
    try:
        batch = msgspec.convert(event, type=Batch)
    except msgspec.ValidationError as error:
        raise RequestError(
            _("this is no batch of this release: {error}; deploy one release for all", error=error)
        ) from error
    if batch.seal != _seal(batch, key):
        raise RequestError(
            _("the batch was not sealed by this function: its certificate key has changed, or it was altered")
        )
    return batch


def as_event(batch: Batch) -> Mapping[str, object]:
    """Make the event that is sent. Raises PolicyError when SCF would not take it."""
    size = len(msgspec.json.encode(batch))
    if size > MAX_EVENT_BYTES:
        raise PolicyError(
            (
                _(
                    "a batch of {count} instances is {size:,} bytes, SCF takes {max_event_bytes:,}",
                    count=len(batch.targets),
                    size=size,
                    max_event_bytes=MAX_EVENT_BYTES,
                ),
            )
        )
    event: Mapping[str, object] = msgspec.to_builtins(batch)
    return event


def _batch(plans: Sequence[TargetPlan], trigger: str, number: int, of: int, allowance: int) -> Batch:
    return Batch(
        run_id=plans[0].run_id,
        policy=plans[0].policy,
        trigger=trigger,
        number=number,
        of=of,
        allowance=allowance,
        quota_seen=False,
        targets=tuple(Assignment(plan.instance_id, plan.address, plan.disks) for plan in plans),
    )


def _seal(batch: Batch, key: SigningKey) -> str:
    return key.sign(msgspec.json.encode(msgspec.structs.replace(batch, seal=""), order="sorted"))

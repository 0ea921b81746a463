"""Reading witnesses: does what was observed amount to a hold, and to the same hold as before?"""

from __future__ import annotations

from collections.abc import Iterator

from quiesced.messages import ApplicationWitness, Refusal, Witness
from quiesced.quiescers.base import HeldBy


def refusal_of(witness: Witness) -> Refusal | None:
    """Say why a first witness does not show a hold; None when it does."""
    return next(_against(witness), None)


def gap_between(first: Witness, second: Witness) -> str:
    """Say why two witnesses do not show one hold without a gap; empty when they do."""
    against = next(_against(second), None)
    if against:
        return against.message
    if [f.mount_point for f in first.filesystems] != [f.mount_point for f in second.filesystems]:
        return "not the same filesystems were witnessed at both ends of the hold"
    if first.freeze != second.freeze:
        return "the filesystems were frozen at one end of the hold only"
    if len(first.applications) != len(second.applications):
        return "not the same applications were witnessed at both ends of the hold"
    return next((reason for pair in zip(first.applications, second.applications) for reason in _changes(*pair)), "")


def _against(witness: Witness) -> Iterator[Refusal]:
    for seen in witness.applications:
        if seen.held_by == HeldBy.WORD.value:
            continue  # it shows nothing, and the level says so
        if not seen.session_alive:
            yield Refusal("application_unreachable", f"{seen.name}: the session that holds the lock no longer answers")
        if not seen.lock_shown:
            yield Refusal("application_unreachable", f"{seen.name}: the lock could not be shown: {seen.lock_evidence}")
        if not seen.durable:
            yield Refusal("not_durable", f"{seen.name}: {seen.durable_evidence}")
    for filesystem in witness.filesystems:
        if not filesystem.frozen and witness.freeze == "all":
            yield Refusal("freeze_failed", f"{filesystem.mount_point} was not frozen when it was looked at")


def _changes(first: ApplicationWitness, second: ApplicationWitness) -> Iterator[str]:
    if (first.name, first.session) != (second.name, second.session):
        yield f"{first.name}: session {first.session} held the lock first, then session {second.session}"
    if first.position != second.position:
        yield f"{first.name}: the position moved from {first.position} to {second.position}"

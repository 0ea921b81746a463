"""What happened, in the order in which it happened here. The certificate is judged from nothing else.

A fact is appended by the one process that runs the procedure, so the order of the list is the order of events as this
process saw them, and no clock is ever compared with another machine's. Structs, because a cold start makes every class anew,
and a dataclass takes forty times as long.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from quiesce.holds import CheckAnswer, QuiesceAnswer, ReleaseAnswer
from quiesce.model import Level


class Checked(msgspec.Struct, frozen=True):
    """The hook said what a hold would cover."""

    answer: CheckAnswer


class QuiesceAsked(msgspec.Struct, frozen=True):
    """A hold, or its preparation, was asked for under this lease; from here on a release is owed."""

    lease_id: str


class PrepareAnswered(msgspec.Struct, frozen=True):
    """The hook answered prepared or refused."""

    answer: QuiesceAnswer


class QuiesceAnswered(msgspec.Struct, frozen=True):
    """The hook answered held or refused."""

    answer: QuiesceAnswer


class CreateSent(msgspec.Struct, frozen=True):
    """CreateSnapshot is about to be sent for this disk."""

    disk_id: str


class Accepted(msgspec.Struct, frozen=True):
    """CreateSnapshot returned this id."""

    disk_id: str
    snapshot_id: str


class GroupAccepted(msgspec.Struct, frozen=True):
    """One call for all these disks returned this group id, and with it accepted every one of them."""

    group_id: str
    disk_ids: tuple[str, ...]


class GroupUnavailable(msgspec.Struct, frozen=True):
    """This account has no groups; nothing was made, and each disk is asked for by itself."""

    code: str
    message: str


class Member(msgspec.Struct, frozen=True):
    """This snapshot was found to be a member of the group that was accepted."""

    disk_id: str
    snapshot_id: str
    group_id: str


class NotAccepted(msgspec.Struct, frozen=True):
    """CreateSnapshot returned no id. ``ambiguous``: it may have worked all the same."""

    disk_id: str
    code: str
    message: str
    ambiguous: bool


class WaitedUntil(msgspec.Struct, frozen=True):
    """The moment that ``hold_until`` asks for was seen (or not) while holding."""

    moment: str
    seen: bool


class ReleaseAsked(msgspec.Struct, frozen=True):
    """The release is about to be sent."""

    lease_id: str


class Released(msgspec.Struct, frozen=True):
    """The hook answered the release."""

    answer: ReleaseAnswer


class Adopted(msgspec.Struct, frozen=True):
    """A snapshot with our name was found: made by an earlier delivery, or by a call whose answer was lost."""

    disk_id: str
    snapshot_id: str
    recorded: Level | None
    """Level that an earlier delivery recorded and signed; None when no such record can be verified."""


class Trouble(msgspec.Struct, frozen=True):
    """Something failed; ``where`` is the step, ``reason`` a sentence."""

    where: str
    reason: str


Fact = (
    Checked
    | QuiesceAsked
    | PrepareAnswered
    | QuiesceAnswered
    | CreateSent
    | Accepted
    | GroupAccepted
    | GroupUnavailable
    | Member
    | NotAccepted
    | WaitedUntil
    | ReleaseAsked
    | Released
    | Adopted
    | Trouble
)


class Timed(msgspec.Struct, frozen=True):
    """A fact with the moment it was noted, in seconds on this process's monotonic clock."""

    at_s: float
    fact: Fact


class Journal:
    """The ordered facts of one target. Noting is safe from several threads."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: list[Timed] = []

    def note(self, fact: Fact) -> None:
        """Append a fact, stamped under the lock so that stamps and order agree."""
        with self._lock:
            self._entries.append(Timed(self._monotonic(), fact))

    @property
    def entries(self) -> tuple[Timed, ...]:
        """Every fact with its moment, oldest first."""
        with self._lock:
            return tuple(self._entries)

    @property
    def facts(self) -> tuple[Fact, ...]:
        """Every fact, oldest first."""
        return tuple(entry.fact for entry in self.entries)

"""Reading a journal: what the facts of one target say, and nothing that they do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from quiesce import facts, holds

F = TypeVar("F", bound=facts.Fact)


class Story(msgspec.Struct, frozen=True):
    """The facts of one target, oldest first."""

    noted: Sequence[facts.Fact]

    def all(self, kind: type[F]) -> list[F]:
        """Every fact of this kind, oldest first."""
        return [fact for fact in self.noted if isinstance(fact, kind)]

    def first_index(self, kind: type[facts.Fact]) -> int:
        """Place of the first fact of this kind; ValueError when there is none."""
        return [type(fact) for fact in self.noted].index(kind)

    def last_index(self, kind: type[facts.Fact]) -> int:
        """Place of the last fact of this kind; ValueError when there is none."""
        kinds = [type(fact) for fact in self.noted]
        return len(kinds) - 1 - kinds[::-1].index(kind)

    @property
    def snapshots(self) -> dict[str, str]:
        """Disk id to snapshot id, of every snapshot of this set that is known to exist."""
        known = {fact.disk_id: fact.snapshot_id for fact in self.all(facts.Adopted)}
        known |= {fact.disk_id: fact.snapshot_id for fact in self.all(facts.Member)}
        return known | {fact.disk_id: fact.snapshot_id for fact in self.all(facts.Accepted)}

    @property
    def group(self) -> facts.GroupAccepted | None:
        """The group that was accepted, if the set was made by one call."""
        return next(iter(self.all(facts.GroupAccepted)), None)

    @property
    def group_unavailable(self) -> facts.GroupUnavailable | None:
        """Why no group was made although one was wanted: the account has none."""
        return next(iter(self.all(facts.GroupUnavailable)), None)

    @property
    def accepted_disks(self) -> set[str]:
        """Disks of which a snapshot was accepted, each by itself or all as a group."""
        singly = {fact.disk_id for fact in self.all(facts.Accepted)}
        return singly | set(self.group.disk_ids if self.group else ())

    @property
    def last_acceptance(self) -> int:
        """Place of the last fact that accepts anything; ValueError when there is none."""
        return max(i for i, fact in enumerate(self.noted) if isinstance(fact, facts.Accepted | facts.GroupAccepted))

    @property
    def unsure_disks(self) -> tuple[str, ...]:
        """Disks whose snapshot has to be looked up: the answer was lost, or named the group alone."""
        lost = [fact.disk_id for fact in self.all(facts.NotAccepted) if fact.ambiguous]
        return (*lost, *(self.group.disk_ids if self.group else ()))

    @property
    def checked(self) -> holds.CheckAnswer | None:
        """What the hook said a hold would cover."""
        return next((fact.answer for fact in self.all(facts.Checked)), None)

    @property
    def held(self) -> holds.QuiesceAnswer | None:
        """The hook's answer *held*."""
        answers = [fact.answer for fact in self.all(facts.QuiesceAnswered)]
        return next((answer for answer in answers if answer.state == "held"), None)

    @property
    def released(self) -> holds.ReleaseAnswer | None:
        """The hook's answer to the release."""
        return next((fact.answer for fact in self.all(facts.Released)), None)

    @property
    def lease_id(self) -> str | None:
        """The lease that the hold was asked for under."""
        return next((fact.lease_id for fact in self.all(facts.QuiesceAsked)), None)

    @property
    def witnesses(self) -> tuple[holds.Witness, holds.Witness] | None:
        """What was observed when the hold began and just before it ended; None unless both were."""
        first = self.held.witness if self.held else None
        second = self.released.witness if self.released else None
        return (first, second) if first and second else None

    @property
    def refusals(self) -> tuple[holds.Refusal, ...]:
        """Every refusal of the hook, in its own words."""
        checked = tuple(refusal for fact in self.all(facts.Checked) for refusal in fact.answer.refusals)
        answers = [
            fact.answer.refusal for fact in self.noted if isinstance(fact, facts.PrepareAnswered | facts.QuiesceAnswered)
        ]
        return checked + tuple(refusal for refusal in answers if refusal)

    @property
    def release_confirmed(self) -> bool:
        """Whether nothing is held any more for all that this side knows: never asked for, or release answered."""
        return self.lease_id is None or self.released is not None

    @property
    def run_moved_on(self) -> bool:
        """Whether another delivery of this run is, or has been, at work on the instance since we looked.

        Then nothing may be created here, not even a weaker snapshot: one run makes one set.
        """
        busy = any(refusal.code == "busy" for refusal in self.refusals)
        again = self.checked is not None and self.checked.holds_of_run > 0
        return (busy and again) or any(refusal.code == "run_moved_on" for refusal in self.refusals)

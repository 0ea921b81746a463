"""Which lease may hold, and what each one is told. A state machine without I/O, on a clock that is handed in.

    (unknown) -> acquiring -> held -> letting go -> over
         |         |  ^  `----- refused ------------> over
         |      prepared
         `---- released before it was asked for --> over

A lease may be prepared first: everything slow is done then, nothing is held, and the place is taken.

One lease has the place at a time. A lease that is over never holds again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Callable

from quiesced import kept
from quiesced.config import AllowedLimits
from quiesced.messages import QuiesceAnswer, QuiesceRequest, Refusal, ReleaseAnswer
from quiesced.tally import Tally

REMEMBERED = 1000
"""How many leases are remembered after they are over; the oldest are forgotten."""


class Phase(Enum):
    """Where a lease is in its life."""

    ACQUIRING = "acquiring"
    PREPARED = "prepared"
    HELD = "held"
    LETTING_GO = "letting go"
    OVER = "over"


class Turn(Enum):
    """What a caller does next when there is no answer yet."""

    ACQUIRE = "the lease now has the place: acquire, then call granted or refused"
    LET_GO = "the lease is now yours to end: let go, then call ended"
    BACK_OUT = "the lease was only prepared, and is now yours to end: let go, then call refused"
    WAIT = "another caller is at it: wait for a change, then look again"


@dataclass(frozen=True)
class Record:
    """What is kept of a lease over a restart of the daemon.

    Without ``run_id`` it was released before it was asked for; without ``release`` (see kept) it was not over yet.
    """

    lease_id: str
    run_id: str | None
    granted: bool
    release: str | None


@dataclass
class _Lease:
    lease_id: str
    run_id: str | None
    phase: Phase
    granted: bool = False
    cancelled: bool = False
    ends_s: float = 0.0
    """When its hold, or its preparation, is over by itself."""
    request: QuiesceRequest | None = None
    quiesced: QuiesceAnswer | None = None
    released: str = ""
    """What every release is told, see kept."""


def unsafe_limits(allowed: AllowedLimits, acquire_limit_s: float, hold_limit_s: float) -> Refusal | None:
    """Refuse limits that the owner of this instance does not allow; None when they are allowed."""
    asked = (
        ("acquire_limit_s", acquire_limit_s, allowed.acquire_limit_s),
        ("hold_limit_s", hold_limit_s, allowed.hold_limit_s),
    )
    for name, value, most in asked:
        if not (math.isfinite(value) and 0 < value <= most):
            return Refusal("unsafe_limits", f"{name} is {value}; this daemon allows more than 0 and at most {most} s")
    return None


class LeaseBook:
    """Every lease that this daemon knows. Not safe for several threads by itself: the keeper has the lock."""

    def __init__(self, clock: Callable[[], float], records: Sequence[Record] = ()) -> None:
        """``records`` are what an earlier daemon left; what it had not ended has ended with it."""
        self._clock = clock
        self._leases: dict[str, _Lease] = {}
        self._place: _Lease | None = None
        self.tally = Tally()
        for record in records:
            restarted = expired(record.lease_id, "the daemon restarted while this lease was open", 0.0)
            released = record.release or kept.text_of(restarted)
            granted = record.granted or record.release is None  # it may have been: count it, so no second set is made
            self._leases[record.lease_id] = _Lease(
                record.lease_id, record.run_id, Phase.OVER, granted=granted, released=released
            )

    def ask(self, request: QuiesceRequest) -> Turn | QuiesceAnswer:
        """Answer a quiesce, or give the lease the place (ACQUIRE), or say that it is being acquired (WAIT)."""
        lease = self._leases.get(request.lease_id)
        if lease and lease.phase is Phase.PREPARED:
            return self._go_on(lease, request)
        if lease:
            return self.repeat(request.lease_id) if lease.phase is not Phase.OVER else _lease_over(lease)
        holds = self.holds_of(request.run_id)
        if holds != request.prior_holds or self._is_at_work(request.run_id):
            message = f"this run has held {holds} times, not {request.prior_holds}; look for its snapshots again"
            return refused(request.lease_id, Refusal("run_moved_on", message))
        if self._place:
            return refused(request.lease_id, Refusal("busy", f"lease {self._place.lease_id} has not ended; try again"))
        self._place = self._remember(_Lease(request.lease_id, request.run_id, Phase.ACQUIRING, request=request))
        return Turn.ACQUIRE

    def _go_on(self, lease: _Lease, request: QuiesceRequest) -> Turn | QuiesceAnswer:
        if request != lease.request:
            message = "this lease was prepared for other disks or limits; release it, and use a new lease id"
            return refused(request.lease_id, Refusal("busy", message))
        lease.phase = Phase.ACQUIRING
        return Turn.ACQUIRE

    def prepared(self, lease_id: str, answer: QuiesceAnswer, ends_s: float) -> bool:
        """Note that everything slow is done, which stands until ``ends_s``; False when a release came first."""
        lease = self._in_phase(lease_id, Phase.ACQUIRING)
        if lease.cancelled:
            return False
        lease.phase, lease.quiesced, lease.ends_s = Phase.PREPARED, answer, ends_s
        return True

    def is_prepared(self, lease_id: str) -> bool:
        """Whether the lease waits, prepared, to be asked for its hold."""
        lease = self._leases.get(lease_id)
        return lease is not None and lease.phase is Phase.PREPARED

    def repeat(self, lease_id: str) -> Turn | QuiesceAnswer:
        """Answer whoever asked while the lease was being acquired: the same answer as the first who asked."""
        lease = self._leases[lease_id]
        if lease.phase is Phase.ACQUIRING:
            return Turn.WAIT
        answer = lease.quiesced
        if answer is None or (answer.state == "held" and lease.phase is not Phase.HELD):
            return _lease_over(lease)
        timed = lease.granted or lease.phase is Phase.PREPARED
        return replace(answer, hold_remaining_s=max(0.0, lease.ends_s - self._clock())) if timed else answer

    def granted(self, lease_id: str, answer: QuiesceAnswer, ends_s: float) -> bool:
        """Note that the lease holds until ``ends_s``; False when a release came first, and it must back out."""
        lease = self._in_phase(lease_id, Phase.ACQUIRING)
        if lease.cancelled:
            return False
        lease.phase, lease.granted, lease.quiesced, lease.ends_s = Phase.HELD, True, answer, ends_s
        self.tally.granted += 1
        self.tally.frozen = any(seen.frozen for seen in answer.witness.filesystems) if answer.witness else False
        return True

    def refused(self, lease_id: str, answer: QuiesceAnswer) -> None:
        """Note that the lease got no hold, and that nothing is held under it any more."""
        lease = self._in_phase(lease_id, Phase.ACQUIRING)
        lease.phase, lease.quiesced = Phase.OVER, answer
        code = answer.refusal.code if answer.refusal else "internal"
        never = never_held(lease_id, f"no hold was granted under this lease: it was refused with {code}")
        lease.released = kept.text_of(never)

    def is_cancelled(self, lease_id: str) -> bool:
        """Whether a release arrived while the lease was being acquired."""
        return self._leases[lease_id].cancelled

    def release(self, lease_id: str) -> Turn | ReleaseAnswer:
        """Answer a release, or hand the lease to the caller to end (LET_GO), or ask it to WAIT."""
        lease = self._leases.get(lease_id)
        if lease is None:
            answer = never_held(lease_id, "no hold was granted under this lease")
            self._remember(_Lease(lease_id, None, Phase.OVER, released=kept.text_of(answer)))
            return answer
        if lease.phase is Phase.PREPARED:
            lease.phase, lease.cancelled = Phase.ACQUIRING, True
            return Turn.BACK_OUT
        if lease.phase is Phase.ACQUIRING:
            lease.cancelled = True
        if lease.phase is Phase.HELD:
            lease.phase = Phase.LETTING_GO
            return Turn.LET_GO
        return kept.answer_of(lease.released) if lease.released else Turn.WAIT

    def knows(self, lease_id: str) -> bool:
        """Whether this lease was ever asked for or released, as far as is remembered."""
        return lease_id in self._leases

    def claim(self, lease_id: str) -> bool:
        """Take a held or prepared lease to end it before anybody asked; False when it is neither (any more)."""
        lease = self._leases[lease_id]
        if lease.phase is Phase.PREPARED:
            lease.phase = Phase.ACQUIRING
            return True
        if lease.phase is not Phase.HELD:
            return False
        lease.phase = Phase.LETTING_GO
        return True

    def ended(self, lease_id: str, answer: ReleaseAnswer) -> None:
        """Note that all was let go, and what every release of this lease is told from now on."""
        lease = self._in_phase(lease_id, Phase.LETTING_GO)
        lease.phase, lease.released, lease.quiesced, lease.request = Phase.OVER, kept.text_of(answer), None, None
        self.tally.hold_ended(expired=answer.state == "expired", reason=answer.reason, held_s=answer.held_s)

    def vacate(self, lease_id: str) -> None:
        """Free the place for another lease, when the kernel has nothing left to do for this one either."""
        if self._place and self._place.lease_id == lease_id and self._place.phase is Phase.OVER:
            self._place = None
            self.tally.frozen = False

    def _is_at_work(self, run_id: str) -> bool:
        """Whether another delivery of this run has the place and is not over."""
        place = self._place
        return place is not None and place.run_id == run_id and place.phase is not Phase.OVER

    def holds_of(self, run_id: str) -> int:
        """Count the holds granted to a run, and the one that it is acquiring: another delivery must not pass that by."""
        mine = [lease for lease in self._leases.values() if lease.run_id == run_id]
        return sum(lease.granted or lease.phase in (Phase.ACQUIRING, Phase.PREPARED) for lease in mine)

    def current(self) -> tuple[str, str, Phase, float] | None:
        """Lease that has the place: its id, its run, its phase, and when its hold ends on the clock."""
        place = self._place
        return (place.lease_id, place.run_id or "", place.phase, place.ends_s) if place else None

    def records(self) -> tuple[Record, ...]:
        """Everything to keep over a restart, oldest first."""
        return tuple(Record(le.lease_id, le.run_id, le.granted, le.released or None) for le in self._leases.values())

    def _remember(self, lease: _Lease) -> _Lease:
        self._leases[lease.lease_id] = lease
        over = [known for known, other in self._leases.items() if other.phase is Phase.OVER]
        for known in over[: max(0, len(self._leases) - REMEMBERED)]:
            del self._leases[known]
        return lease

    def _in_phase(self, lease_id: str, phase: Phase) -> _Lease:
        lease = self._leases[lease_id]
        if lease.phase is not phase:
            raise ValueError(f"lease {lease_id} is {lease.phase.value}, not {phase.value}")
        return lease


def refused(lease_id: str, refusal: Refusal) -> QuiesceAnswer:
    """Build the answer *refused*, before any step was taken."""
    return QuiesceAnswer(lease_id, "refused", refusal, None, (), 0.0)


def never_held(lease_id: str, reason: str) -> ReleaseAnswer:
    """Build the answer to a release of a lease that held nothing."""
    return ReleaseAnswer(lease_id, "never_held", False, reason, None, 0.0, ())


def expired(lease_id: str, reason: str, held_s: float) -> ReleaseAnswer:
    """Build the answer to a release of a hold that had ended by itself."""
    return ReleaseAnswer(lease_id, "expired", False, reason, None, held_s, ())


def _lease_over(lease: _Lease) -> QuiesceAnswer:
    if lease.run_id is None:
        refusal = Refusal("released_before", "this lease was released before it was asked for; use a new lease id")
    else:
        refusal = Refusal("lease_over", "this lease has ended; use a new lease id")
    return refused(lease.lease_id, refusal)

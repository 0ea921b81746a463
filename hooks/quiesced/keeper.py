"""The keeper: one hold at a time, under a lease, with an end that does not depend on anybody asking.

Who does what: the thread that asks acquires; the thread that releases lets go; the warden, a thread, lets go when the
limit is near or the guardian is gone; the guardian lets go when this whole process does not.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Callable

from quiesced import __version__, expedite, lease, witness
from quiesced.config import Config
from quiesced.due import PREPARED_LIMIT_S, due_s, past_limit, reason_to_end
from quiesced.endings import Endings
from quiesced.errors import Refused
from quiesced.freeze import Ioctls, LinuxIoctls
from quiesced.guardian_client import GuardianProcess, StartGuardian
from quiesced.heal import heal
from quiesced.instance_hold import Instance, InstanceHold
from quiesced.lease import LeaseBook, Phase, Turn
from quiesced.messages import (
    CheckAnswer,
    CheckRequest,
    QuiesceAnswer,
    QuiesceRequest,
    Refusal,
    ReleaseAnswer,
    ReleaseRequest,
    StatusAnswer,
    Witness,
)
from quiesced.preview import preview
from quiesced.quiescers.base import Quiescer
from quiesced.state import StateDir
from quiesced.survey import LinuxSurveyor, Surveyor
from quiesced.tally import Tally
from quiesced.warden import Sight, Warden

LOOK_EVERY_S = 0.025
"""How often the warden asks a hold whether it has to end."""

CANCELLED = Refusal("cancelled", "a release for this lease arrived while it was being acquired")

log = logging.getLogger(__name__)


class Keeper:
    """Everything that the protocol asks of this instance. Safe to call from several threads."""

    def __init__(
        self,
        config: Config,
        quiescers: Sequence[Quiescer],
        *,
        clock: Callable[[], float] = time.monotonic,
        surveyor: Surveyor | None = None,
        ioctls: Ioctls | None = None,
        start_guardian: StartGuardian = GuardianProcess,
        expedite_path: Path = expedite.RCU_EXPEDITED,
    ) -> None:
        self._config = config
        self._clock = clock
        self._expedite_path = expedite_path
        self._instance = Instance(
            quiescers,
            surveyor or LinuxSurveyor(config),
            ioctls or LinuxIoctls(),
            start_guardian,
            StateDir(config.state_dir),
            clock,
            expedite_path if config.expedite_freeze else None,
            config.only_applications_write,
        )
        self._changed = threading.Condition()
        self._book = LeaseBook(clock, self._instance.state.read_leases())
        self._prepared: dict[str, InstanceHold] = {}
        self._held: dict[str, tuple[InstanceHold, Witness]] = {}
        self._endings = Endings(self._book, self._instance.state, self._changed, self._forget)
        self._closing = False
        self._warden = Warden(self._changed, self._look, self._book.claim, self._let_go_early)
        self._warden.start()

    @property
    def tally(self) -> Tally:
        """Holds counted since this keeper was made."""
        return self._book.tally

    def heal(self) -> None:
        """Let go of what an earlier daemon left; called once, before anything is served. Raises OSError."""
        held = self._instance.state.read_held()
        if held:
            heal(held, self._instance.quiescers, self._instance.surveyor, self._instance.ioctls, self._expedite_path)
        self._instance.state.clear_held()
        self._instance.state.write_leases(self._book.records())

    def check(self, request: CheckRequest) -> CheckAnswer:
        """Say what a hold would cover and everything that would refuse it. Changes nothing."""
        with self._changed:
            current = self._book.current()
            holds_of_run = self._book.holds_of(request.run_id)
        refusals = [lease.unsafe_limits(self._config.limits, request.acquire_limit_s, request.hold_limit_s)]
        if current:
            refusals.append(Refusal("busy", f"lease {current[0]} has not ended; try again"))
        known = [refusal for refusal in refusals if refusal]
        return preview(request.disks, self._instance.quiescers, self._instance.surveyor, known, holds_of_run)

    def prepare(self, request: QuiesceRequest) -> QuiesceAnswer:
        """Do everything slow and hold nothing yet, or refuse. The same lease again gets the same answer while it stands."""
        with self._changed:
            turn = (
                self._book.repeat(request.lease_id) if self._book.is_prepared(request.lease_id) else self._turn_to(request)
            )
        if not isinstance(turn, Turn):
            return turn
        return self._or_back_out(self._new_hold(request), self._prepare)

    def quiesce(self, request: QuiesceRequest) -> QuiesceAnswer:
        """Hold, or refuse and hold nothing. The same lease again gets the same answer while it holds.

        A lease that was not prepared is prepared here.
        """
        with self._changed:
            turn = self._turn_to(request)
            prepared = self._prepared.pop(request.lease_id, None) if turn is Turn.ACQUIRE else None
        if not isinstance(turn, Turn):
            return turn
        return self._or_back_out(
            prepared or self._new_hold(request), self._acquire if prepared else self._prepare_and_acquire
        )

    def release(self, request: ReleaseRequest) -> ReleaseAnswer:
        """Let go of whatever this lease holds; always the same answer, and nothing is held under it any more."""
        with self._changed:
            known = self._book.knows(request.lease_id)
            turn = self._book.release(request.lease_id)
            while turn is Turn.WAIT:
                self._changed.wait()
                turn = self._book.release(request.lease_id)
            if not known:
                self._endings.save()
            if isinstance(turn, ReleaseAnswer):
                return turn
            if turn is Turn.LET_GO:
                hold, first = self._held[request.lease_id]
            else:
                hold = self._prepared.pop(request.lease_id)
        if turn is Turn.LET_GO:
            return self._end(hold, first)
        self._back_out(hold, CANCELLED)
        return self.release(request)

    def status(self) -> StatusAnswer:
        """Say what is held now, by whom, and for how much longer."""
        with self._changed:
            current = self._book.current()
        if current is None:
            return StatusAnswer(__version__, "idle", None, None, 0.0)
        lease_id, run_id, phase, ends_s = current
        state = "acquiring" if phase in (Phase.ACQUIRING, Phase.PREPARED) else "held"
        return StatusAnswer(__version__, state, lease_id, run_id, max(0.0, ends_s - self._clock()))

    def close(self) -> None:
        """Let go of everything and take no more leases. Any number of times."""
        with self._changed:
            self._closing = True
            current = self._book.current()
            if current and current[2] is Phase.ACQUIRING:
                self._book.release(current[0])
            self._changed.notify_all()
        self._warden.join()

    def _turn_to(self, request: QuiesceRequest) -> Turn | QuiesceAnswer:
        refusal = lease.unsafe_limits(self._config.limits, request.acquire_limit_s, request.hold_limit_s)
        if refusal or self._closing:
            return lease.refused(request.lease_id, refusal or Refusal("busy", "the daemon is stopping; try again"))
        turn = self._book.ask(request)
        while turn is Turn.WAIT:
            self._changed.wait()
            turn = self._book.repeat(request.lease_id)
        return turn

    def _new_hold(self, request: QuiesceRequest) -> InstanceHold:
        is_cancelled = lambda: self._book.is_cancelled(request.lease_id)  # noqa: E731 - closes over the lease
        return InstanceHold(request, self._instance, is_cancelled, self._on_guardian_lost)

    def _or_back_out(self, hold: InstanceHold, take: Callable[[InstanceHold], QuiesceAnswer]) -> QuiesceAnswer:
        """Take a step towards a hold; whatever goes wrong, what was taken is let go first."""
        try:
            return take(hold)
        except Refused as error:
            return self._back_out(hold, Refusal(error.code, str(error)))
        except Exception as error:  # as above
            answer = self._back_out(hold, Refusal("internal", "something unexpected; the daemon's log has it"))
            log.error("a hold failed", exc_info=error, extra={"lease_id": hold.lease_id})
            return answer

    def _prepare(self, hold: InstanceHold) -> QuiesceAnswer:
        self._do_everything_slow(hold)
        answer = QuiesceAnswer(hold.lease_id, "prepared", None, None, hold.take_steps(), PREPARED_LIMIT_S)
        with self._changed:
            if not self._book.prepared(hold.lease_id, answer, self._clock() + PREPARED_LIMIT_S):
                raise Refused(CANCELLED.code, CANCELLED.message)
            self._prepared[hold.lease_id] = hold
            self._changed.notify_all()
        return answer

    def _prepare_and_acquire(self, hold: InstanceHold) -> QuiesceAnswer:
        self._do_everything_slow(hold)
        return self._acquire(hold)

    def _do_everything_slow(self, hold: InstanceHold) -> None:
        with self._changed:  # one writer at a time: a release stores what it ended, too
            self._instance.state.write_leases(self._book.records())
        hold.prepare()

    def _acquire(self, hold: InstanceHold) -> QuiesceAnswer:
        return self._grant(hold, hold.acquire())

    def _grant(self, hold: InstanceHold, seen: Witness) -> QuiesceAnswer:
        left_s = hold.ends_s - self._clock()
        answer = QuiesceAnswer(hold.lease_id, "held", None, seen, hold.take_steps(), left_s)
        with self._changed:
            if not self._book.granted(hold.lease_id, answer, hold.ends_s):
                raise Refused(CANCELLED.code, CANCELLED.message)
            self._held[hold.lease_id] = (hold, seen)
            self._changed.notify_all()
        return answer

    def _back_out(self, hold: InstanceHold, refusal: Refusal) -> QuiesceAnswer:
        failures = hold.let_go()
        if self._book.is_cancelled(hold.lease_id):
            refusal = CANCELLED
        answer = QuiesceAnswer(hold.lease_id, "refused", refusal, None, hold.take_steps(), 0.0)
        self._endings.finish(hold, failures, lambda: self._book.refused(hold.lease_id, answer))
        return answer

    def _end(self, hold: InstanceHold, first: Witness) -> ReleaseAnswer:
        """Look once more, let go, and answer a release of a hold that was in place until now."""
        second, reason = self._look_again(hold, first)
        failures = hold.let_go()
        state = "expired" if reason else "released"
        steps, stalls = hold.take_steps(), hold.stalls()
        more = hold.attachments()
        answer = ReleaseAnswer(hold.lease_id, state, not reason, reason, second, hold.held_s, steps, stalls, more)
        self._endings.finish(hold, failures, lambda: self._book.ended(hold.lease_id, answer))
        return answer

    def _look_again(self, hold: InstanceHold, first: Witness) -> tuple[Witness | None, str]:
        """Take the second witness and say what speaks against one hold without a gap; empty when nothing does."""
        try:
            second = hold.witness()
            return second, hold.lost() or witness.gap_between(first, second) or past_limit(hold, self._clock())
        except Exception as error:  # noqa: BLE001 - a witness that cannot be taken must not keep anything held
            return None, f"the second witness could not be taken: {error!r}"

    def _let_go_early(self, hold: InstanceHold, reason: str) -> None:
        """Let go of a hold that nobody released, or of a preparation that nobody went on with."""
        if hold.lease_id in self._prepared:
            self._back_out(hold, Refusal("prepared_too_long", f"{reason}; prepare it again under a new lease id"))
            return
        failures = hold.let_go()
        over = lease.expired(hold.lease_id, reason, hold.held_s)
        answer = replace(over, steps=hold.take_steps(), stalls=hold.stalls())
        self._endings.finish(hold, failures, lambda: self._book.ended(hold.lease_id, answer))
        log.warning("a hold ended by itself", extra={"lease_id": hold.lease_id, "reason": reason})

    def _forget(self, lease_id: str) -> None:
        self._held.pop(lease_id, None)
        self._prepared.pop(lease_id, None)

    def _look(self) -> Sight:
        """Find what may have to end by itself: a hold, or a preparation."""
        current = self._book.current()
        lease_id, _, phase, ends_s = current or ("", "", Phase.OVER, 0.0)
        stopped = "the daemon was stopped" if self._closing else ""
        if phase is Phase.HELD:
            hold = self._held[lease_id][0]
            reason = stopped or reason_to_end(hold, self._clock())
            return Sight(hold, reason, min(LOOK_EVERY_S, due_s(hold) - self._clock()))
        if phase is Phase.PREPARED:
            late = "it was not asked for in time" if self._clock() >= ends_s else ""
            return Sight(self._prepared[lease_id], stopped or late, ends_s - self._clock())
        return Sight(over=self._closing and phase is Phase.OVER)

    def _on_guardian_lost(self) -> None:
        with self._changed:
            self._changed.notify_all()

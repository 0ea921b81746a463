"""The keeper: one hold at a time, under a lease, with an end that does not depend on anybody asking.

Who does what: the thread that asks acquires; the thread that releases lets go; the warden, a thread of the keeper, lets
go when the limit is near or the guardian is gone; the guardian lets go when this whole process does not.
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
from quiesced.due import due_s, past_limit
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

LOOK_EVERY_S = 0.025
"""How often the warden asks a hold whether it has to end."""

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
        self._held: dict[str, tuple[InstanceHold, Witness]] = {}
        self._closing = False
        self._warden = threading.Thread(target=self._watch, name="warden", daemon=True)
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

    def quiesce(self, request: QuiesceRequest) -> QuiesceAnswer:
        """Hold, or refuse and hold nothing. The same lease again gets the same answer while it holds."""
        refusal = lease.unsafe_limits(self._config.limits, request.acquire_limit_s, request.hold_limit_s)
        if refusal:
            return lease.refused(request.lease_id, refusal)
        with self._changed:
            turn = self._turn_to_quiesce(request)
        return self._acquire(request) if isinstance(turn, Turn) else turn

    def release(self, request: ReleaseRequest) -> ReleaseAnswer:
        """Let go of whatever this lease holds; always the same answer, and nothing is held under it any more."""
        with self._changed:
            known = self._book.knows(request.lease_id)
            turn = self._book.release(request.lease_id)
            while turn is Turn.WAIT:
                self._changed.wait()
                turn = self._book.release(request.lease_id)
            if not known:
                self._save()
            if isinstance(turn, ReleaseAnswer):
                return turn
            hold, first = self._held[request.lease_id]
        return self._end(hold, first)

    def status(self) -> StatusAnswer:
        """Say what is held now, by whom, and for how much longer."""
        with self._changed:
            current = self._book.current()
        if current is None:
            return StatusAnswer(__version__, "idle", None, None, 0.0)
        lease_id, run_id, phase, ends_s = current
        state = "acquiring" if phase is Phase.ACQUIRING else "held"
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

    def _turn_to_quiesce(self, request: QuiesceRequest) -> Turn | QuiesceAnswer:
        if self._closing:
            return lease.refused(request.lease_id, Refusal("busy", "the daemon is stopping; try again"))
        turn = self._book.ask(request)
        while turn is Turn.WAIT:
            self._changed.wait()
            turn = self._book.repeat(request.lease_id)
        return turn

    def _acquire(self, request: QuiesceRequest) -> QuiesceAnswer:
        hold = InstanceHold(
            request, self._instance, lambda: self._book.is_cancelled(request.lease_id), self._on_guardian_lost
        )
        try:
            with self._changed:  # one writer at a time: a release stores what it ended, too
                self._instance.state.write_leases(self._book.records())
            hold.prepare()
            return self._grant(hold, hold.acquire())
        except Refused as error:
            return self._back_out(hold, Refusal(error.code, str(error)))
        except Exception as error:  # whatever went wrong, what was taken is let go first
            answer = self._back_out(hold, Refusal("internal", "something unexpected; the daemon's log has it"))
            log.error("a hold failed", exc_info=error, extra={"lease_id": request.lease_id})
            return answer

    def _grant(self, hold: InstanceHold, seen: Witness) -> QuiesceAnswer:
        left_s = hold.ends_s - self._clock()
        answer = QuiesceAnswer(hold.lease_id, "held", None, seen, hold.take_steps(), left_s)
        with self._changed:
            if not self._book.granted(hold.lease_id, answer, hold.ends_s):
                raise Refused("cancelled", "a release for this lease arrived while it was being acquired")
            self._held[hold.lease_id] = (hold, seen)
            self._changed.notify_all()
        return answer

    def _back_out(self, hold: InstanceHold, refusal: Refusal) -> QuiesceAnswer:
        failures = hold.let_go()
        if self._book.is_cancelled(hold.lease_id):
            refusal = Refusal("cancelled", "a release for this lease arrived while it was being acquired")
        answer = QuiesceAnswer(hold.lease_id, "refused", refusal, None, hold.take_steps(), 0.0)
        self._finish(hold, failures, lambda: self._book.refused(hold.lease_id, answer))
        return answer

    def _end(self, hold: InstanceHold, first: Witness) -> ReleaseAnswer:
        """Look once more, let go, and answer a release of a hold that was in place until now."""
        second, reason = self._look_again(hold, first)
        failures = hold.let_go()
        state = "expired" if reason else "released"
        steps, stalls = hold.take_steps(), hold.stalls()
        more = hold.attachments()
        answer = ReleaseAnswer(hold.lease_id, state, not reason, reason, second, hold.held_s, steps, stalls, more)
        self._finish(hold, failures, lambda: self._book.ended(hold.lease_id, answer))
        return answer

    def _look_again(self, hold: InstanceHold, first: Witness) -> tuple[Witness | None, str]:
        """Take the second witness and say what speaks against one hold without a gap; empty when nothing does."""
        try:
            second = hold.witness()
            return second, hold.lost() or witness.gap_between(first, second) or past_limit(hold, self._clock())
        except Exception as error:  # noqa: BLE001 - a witness that cannot be taken must not keep anything held
            return None, f"the second witness could not be taken: {error!r}"

    def _let_go_early(self, hold: InstanceHold, reason: str) -> None:
        """Let go of a hold that nobody released."""
        failures = hold.let_go()
        over = lease.expired(hold.lease_id, reason, hold.held_s)
        answer = replace(over, steps=hold.take_steps(), stalls=hold.stalls())
        self._finish(hold, failures, lambda: self._book.ended(hold.lease_id, answer))
        log.warning("a hold ended by itself", extra={"lease_id": hold.lease_id, "reason": reason})

    def _finish(self, hold: InstanceHold, failures: Sequence[str], note_end: Callable[[], None]) -> None:
        """Note the end of a hold whose parts were all let go, and free the place when the kernel is done as well."""
        settled = hold.settled(0)
        if settled:
            self._close(hold)
        with self._changed:
            try:
                note_end()
            finally:  # an answer that could not be noted must not leave the place taken for good
                self._held.pop(hold.lease_id, None)
                self._vacate(hold.lease_id, settled)
        if not settled:
            threading.Thread(target=self._finish_later, args=(hold,), name="finisher", daemon=True).start()
        for failure in failures:
            log.error("a part of the hold failed", extra={"lease_id": hold.lease_id, "reason": failure})

    def _finish_later(self, hold: InstanceHold) -> None:
        """Keep the guardian and the place until a freeze that is stuck in the kernel has come back and was thawed."""
        while not hold.settled(1.0):
            continue
        self._close(hold)
        with self._changed:
            self._vacate(hold.lease_id, True)

    def _vacate(self, lease_id: str, settled: bool) -> None:
        if settled:
            self._book.vacate(lease_id)
        self._save()
        self._changed.notify_all()

    def _close(self, hold: InstanceHold) -> None:
        try:
            hold.close()
        except OSError:
            log.exception("the state file could not be removed", extra={"lease_id": hold.lease_id})

    def _save(self) -> None:
        """Store the leases after the fact: what happened has happened, whether it can be stored or not."""
        try:
            self._instance.state.write_leases(self._book.records())
        except OSError:
            log.exception("the leases could not be stored")

    def _watch(self) -> None:
        """Let go of whatever nobody releases in time (the warden's thread)."""
        due = self._wait_until_due()
        while due:
            self._let_go_early(*due)
            due = self._wait_until_due()

    def _wait_until_due(self) -> tuple[InstanceHold, str] | None:
        """Wait for a hold that has to end, and claim it; None when the keeper is closed."""
        with self._changed:
            while True:
                current = self._book.current()
                if self._closing and (current is None or current[2] is Phase.OVER):
                    return None
                hold = self._held[current[0]][0] if current and current[2] is Phase.HELD else None
                reason = self._reason_to_end(hold) if hold else ""
                if hold and reason and self._book.claim(hold.lease_id):
                    return hold, reason
                self._changed.wait(min(LOOK_EVERY_S, due_s(hold) - self._clock()) if hold else None)

    def _reason_to_end(self, hold: InstanceHold) -> str:
        if self._closing:
            return "the daemon was stopped"
        if hold.lost():
            return hold.lost()
        if self._clock() >= due_s(hold):
            return f"the hold limit of {hold.hold_limit_s} s passed before a release was asked for"
        return ""

    def _on_guardian_lost(self) -> None:
        with self._changed:
            self._changed.notify_all()

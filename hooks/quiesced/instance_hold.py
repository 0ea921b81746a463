"""One hold of this instance, from the first guard to the last thaw, in the order in which it happens.

    prepare    survey, guards, pre-flush, state file, guardian armed     nothing is held; may take seconds
    acquire    lock each application, freeze all filesystems, witness    writers wait from here ...
               (or write out what is dirty, where the applications' own locks make one disk's cut atomic)
    witness    look again
    let_go     thaw all filesystems, unlock applications in reverse      ... to here
    close      disarm the guardian, close everything, forget the state

Between the first lock and the last thaw nothing is written to a disk, spawned, imported or logged. Everything is
registered here before it is called, so that ``let_go`` finds it however far ``acquire`` came.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from quiesced import expedite
from quiesced.applications import Applications
from quiesced.errors import Refused
from quiesced.freeze import Ioctls
from quiesced.guardian_client import Guarded, Guardian, StartGuardian
from quiesced.messages import Attachment, QuiesceRequest, Stall, Step, Witness
from quiesced.quiescers.base import Budget, Quiescer, Scene
from quiesced.quiescers.filesystem import Filesystems
from quiesced.state import Held, StateDir
from quiesced.survey import Surveyor, Target
from quiesced.witness import refusal_of

STUCK_S = 0.020
"""How long a thaw that is stuck in the kernel may keep the applications locked."""
IDLE_LIMIT_S = 3600.0
"""The guardian's deadline while nothing is held yet."""


class HoldStep(str, enum.Enum):
    """The timed steps of a hold, in their order; the second witness comes between the first and the thaw."""

    PREFLUSH = "preflush"
    ARM = "arm"
    LOCK = "lock"
    FREEZE = "freeze"
    WITNESS = "witness"
    THAW = "thaw"
    UNLOCK = "unlock"


@dataclass(frozen=True)
class Instance:
    """What holds are made of on this machine. Without ``expedite_path`` the kernel is not asked to hurry.

    ``only_applications_write`` is the owner's word that nothing but the applications writes to the disks.
    """

    quiescers: Sequence[Quiescer]
    surveyor: Surveyor
    ioctls: Ioctls
    start_guardian: StartGuardian
    state: StateDir
    clock: Callable[[], float]
    expedite_path: Path | None
    only_applications_write: bool = False


class InstanceHold:
    """One hold under one lease. Methods are called from one thread at a time; let_go and close any number of times."""

    def __init__(
        self,
        request: QuiesceRequest,
        instance: Instance,
        is_cancelled: Callable[[], bool],
        on_guardian_lost: Callable[[], None],
    ) -> None:
        self.lease_id = request.lease_id
        self.ends_s = math.inf
        """When the hold limit is over, on the clock; infinite until the first lock was granted."""
        self.hold_limit_s = request.hold_limit_s
        self._steps: list[Step] = []
        self._request = request
        self._instance = instance
        self._clock = instance.clock
        self._is_cancelled = is_cancelled
        self._on_guardian_lost = on_guardian_lost
        self._budget = Budget(self._acquire_left_s, request.hold_limit_s)
        self._acquire_ends_s: float | None = None
        self._ended_s: float | None = None
        self._applications = Applications(instance.quiescers)
        self._unfrozen_because = ""
        self._filesystems = Filesystems(instance.surveyor, instance.ioctls, instance.expedite_path)
        self._guardian: Guardian | None = None

    def prepare(self) -> None:
        """Do everything slow, and hold nothing. Raises Refused or OSError, and then let_go is due."""
        with self._step(HoldStep.PREFLUSH):
            self._take_place()
            targets = self._survey()
            scene = scene_of(self._instance.surveyor, self._request.disks)
            self._applications.prepare(self._budget, scene, self._write_state)
            self._unfrozen_because = self._why_no_freeze(targets)
            for target in targets:
                self._filesystems.open(target)
            self._filesystems.write_back()
            self._filesystems.sync()
        with self._step(HoldStep.ARM):
            self._write_state()
            self._arm()
            self._filesystems.sync()  # short: only what was written since the first

    def acquire(self) -> Witness:
        """Lock, freeze and witness within the acquire limit. Raises Refused, and then let_go is due."""
        self._start_acquire_clock()
        self._insist_on_time("the preparation")
        with self._step(HoldStep.LOCK):
            self._applications.quiesce(self._budget, self._after_lock)
        with self._step(HoldStep.FREEZE):
            self._start_hold_clock()
            self._freeze()
        witness = self.witness()
        self._insist_on_hold(witness)
        return witness

    def witness(self) -> Witness:
        """Observe every application, then every filesystem."""
        with self._step(HoldStep.WITNESS):
            seen = self._applications.witness()
            if self._unfrozen_because:
                return Witness(seen, self._filesystems.unfrozen(), "none", self._unfrozen_because)
            return Witness(seen, self._filesystems.witness(), "all", "so that nothing else writes to the disks either")

    def lost(self) -> str:
        """Say why this hold has to end now: no guardian guards it, or too many wait for it. Empty while it may go on."""
        unguarded = self._guardian.lost() if self._guardian else "the guardian was not armed"
        return unguarded or self._applications.too_many()

    def stalls(self) -> tuple[Stall, ...]:
        """Return what each application's writers had to wait so far."""
        return self._applications.stalls()

    def attachments(self) -> tuple[Attachment, ...]:
        """Return what must be kept beside the snapshots for a restore; complete only after let_go."""
        return self._applications.attachments()

    def let_go(self) -> tuple[str, ...]:
        """Thaw everything, then release applications in reverse. Returns what went wrong; stops at nothing."""
        failures = (*self._surely(HoldStep.THAW, self._thaw), *self._surely(HoldStep.UNLOCK, self._unlock))
        return (*failures, *self._filesystems.errors)

    def take_steps(self) -> tuple[Step, ...]:
        """Return the steps since the last call, in order."""
        steps, self._steps = tuple(self._steps), []
        return steps

    @property
    def held_s(self) -> float:
        """Seconds from the first lock until everything was let go; 0 when there was none."""
        if math.isinf(self.ends_s):
            return 0.0
        return (self._ended_s or self._clock()) - (self.ends_s - self.hold_limit_s)

    def settled(self, timeout_s: float) -> bool:
        """Wait until no freeze or thaw is stuck in the kernel any more; only then may the guardian go.

        The thaw is asked for again: a guardian that goes while a thaw was never asked for leaves a filesystem frozen.
        """
        self._filesystems.thaw(0)
        return self._filesystems.settled(timeout_s)

    def close(self) -> None:
        """Give everything back, after let_go, once settled. Raises OSError when the state file stays."""
        if self._guardian:
            self._guardian.disarm()
        self._filesystems.close()
        try:
            self._instance.state.clear_held()
        finally:
            self._instance.state.place.leave()

    def _take_place(self) -> None:
        if not self._instance.state.place.take():
            raise Refused("busy", "a rehearsal, or an upgrade of quiesced, is under way on this instance; try again")

    def _survey(self) -> Sequence[Target]:
        survey = self._instance.surveyor.survey(self._request.disks)
        if survey.refusals:
            raise Refused(survey.refusals[0].code, "; ".join(refusal.message for refusal in survey.refusals))
        return survey.targets

    def _why_no_freeze(self, targets: Sequence[Target]) -> str:
        """Say why this set needs no freeze: one filesystem on one disk, and no writer but those that are locked."""
        alone = len(self._request.disks) == 1 and len(targets) == 1
        if alone and self._instance.only_applications_write and self._applications.stop_writing:
            return "one filesystem on one disk, and its only writers are locked: its cut is atomic by itself"
        return ""

    def _freeze(self) -> None:
        """Freeze; or write out what the applications left in the page cache, which is all that a freeze would add."""
        stand_still = self._filesystems.write_out if self._unfrozen_because else self._filesystems.freeze
        late = stand_still(self._acquire_left_s)
        if late:
            raise self._out_of_time(f"{'writing out' if self._unfrozen_because else 'freezing'} {late}")

    def _write_state(self) -> None:
        expedited = self._filesystems.knob != expedite.NO_KNOB
        leftovers = self._applications.leftovers
        self._instance.state.write_held(Held(self.lease_id, self._filesystems.mounts, expedited, leftovers))

    def _arm(self) -> None:
        guarded = Guarded(self._filesystems.fds, self._applications.sockets, self._filesystems.knob)
        deadline_s = self._clock() + IDLE_LIMIT_S
        self._guardian = self._instance.start_guardian(guarded, deadline_s, self._on_guardian_lost)

    def _start_acquire_clock(self) -> None:
        """Bound the whole stall before the first lock is asked for: acquire limit and hold limit together."""
        self._acquire_ends_s = self._clock() + self._request.acquire_limit_s
        if self._guardian:
            self._guardian.bring_forward(self._acquire_ends_s + self._request.hold_limit_s)

    def _start_hold_clock(self) -> None:
        """Count the hold from the first lock, and bring the guardian's deadline forward to its end."""
        if math.isinf(self.ends_s):
            self.ends_s = self._clock() + self._request.hold_limit_s
            if self._guardian:
                self._guardian.bring_forward(self.ends_s)

    def _after_lock(self, name: str) -> None:
        self._start_hold_clock()
        self._insist_on_time(name)

    def _acquire_left_s(self) -> float:
        if self._is_cancelled():
            return 0.0
        if self._acquire_ends_s is None:
            return self._request.acquire_limit_s
        return max(0.0, self._acquire_ends_s - self._clock())

    def _insist_on_time(self, where: str) -> None:
        if self._acquire_left_s() <= 0:
            raise self._out_of_time(where)

    def _out_of_time(self, where: str) -> Refused:
        if self._is_cancelled():
            return Refused("cancelled", "a release for this lease arrived while it was being acquired")
        return Refused("acquire_timeout", f"{where}: not done within {self._request.acquire_limit_s} s; all was let go")

    def _insist_on_hold(self, witness: Witness) -> None:
        refusal = refusal_of(witness)
        if refusal:
            raise Refused(refusal.code, refusal.message)
        if self._applications.too_many():
            raise Refused("writers_piled_up", self._applications.too_many())
        if self.lost():
            raise Refused("guardian_failed", self.lost())
        self._insist_on_time("the witness")

    def _surely(self, step: HoldStep, do: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """Do a part of letting go, once more when it went wrong; returns what did.

        Running out of memory, even while taking the time, must not leave a hold that nothing ends and no run gets past.
        """
        try:
            with self._step(step):
                return do()
        except Exception as error:  # noqa: BLE001 - the other part must be let go in any case
            failure = f"{step.value}: {error!r}"
        try:
            return (failure, *do())
        except Exception as error:  # noqa: BLE001 - as above
            return (failure, f"{step.value} again: {error!r}")

    def _thaw(self) -> tuple[str, ...]:
        self._filesystems.thaw(STUCK_S)
        return ()

    def _unlock(self) -> tuple[str, ...]:
        failures = self._applications.release()
        self._ended_s = self._ended_s or self._clock()
        return failures

    @contextmanager
    def _step(self, step: HoldStep) -> Iterator[None]:
        started_s = self._clock()
        try:
            yield
        finally:
            self._steps.append(Step(step.value, self._clock() - started_s))


def scene_of(surveyor: Surveyor, disk_ids: Sequence[str]) -> Scene:
    """Describe a set of disks to the engines."""
    return Scene(lambda path: surveyor.place_of(path).disk_id in disk_ids)

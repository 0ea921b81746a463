"""One instance with its hook, as the procedure sees it; the clock it lives by, and what goes wrong.

It refuses what could never be (a lease id that is used a second time) with an AssertionError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from quiesce import holds
from quiesce.errors import AgentError

PREPARED_S = 30.0
"""How long a preparation stands."""
HONEST = holds.ApplicationWitness(
    name="orders",
    engine="mysql",
    session="4711",
    session_alive=True,
    lock_shown=True,
    lock_evidence="asked",
    position={"gtid": "0-1-42"},
    durable=True,
    durable_evidence="asked",
    held_by="lock",
    mode="lock",
    mode_reason="told to",
)


@dataclass
class FakeClock:
    """Time moves a little whenever somebody looks, and as far as asked when somebody sleeps."""

    now_s: float = 1000.0

    def monotonic(self) -> float:
        self.now_s += 0.0001
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Killed(BaseException):
    """The function was killed with SIGKILL: nothing of it runs any more."""


@dataclass
class Faults:
    """What goes wrong, by step: ``before`` the work is done, or ``after`` it with the answer lost."""

    at: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    meanwhile: dict[tuple[str, str], Callable[[], None]] = field(default_factory=dict)
    """What somebody else does once, by step and moment."""
    killed: bool = False
    """Whether the process that asks was killed: it then gets nothing done any more."""

    def strikes(self, step: str, moment: str) -> bool:
        self.meanwhile.pop((step, moment), lambda: None)()
        if self.killed:
            raise Killed
        if self.at.get(step) != moment:
            return False
        self.seen.append(f"{step} {moment}")
        return True


@dataclass
class FakeInstance:
    """One instance: its applications write whenever they are not held, and a hold ends by itself at its limit."""

    clock: FakeClock
    faults: Faults
    disks: tuple[str, ...] = ("disk-a",)
    applications: tuple[str, ...] = ("orders",)
    written_disks: tuple[str, ...] = ("disk-a",)
    scratch_disks: tuple[str, ...] = ()
    """Those of the written disks that have only what a restore does without."""
    refusals: tuple[holds.Refusal, ...] = ()
    lease_id: str | None = None
    prepared_lease: str | None = None
    prepared_run: str = ""
    prepared_until_s: float = 0.0
    owes_a_release: bool = False
    """A hold was asked for, and its release was not sent yet; an older hold whose release was lost is not meant."""
    held_since_s: float = 0.0
    hold_ends_s: float = 0.0
    gap: str = ""
    epoch: int = 0
    """Counts every time the instance began to stand still: two equal readings prove one unbroken hold."""
    over: dict[str, holds.ReleaseAnswer] = field(default_factory=dict)
    holds_of: dict[str, int] = field(default_factory=dict)
    told: holds.ApplicationWitness = HONEST
    """What the hook tells of each application; tests make it tell less."""
    frozen: bool = True
    freeze: Literal["all", "none"] = "all"
    gap_after_quiesce: str = ""
    told_at_release: holds.ApplicationWitness | None = None

    @property
    def held(self) -> bool:
        if self.lease_id is not None and self.clock.now_s >= self.hold_ends_s:
            self.let_go("its limit passed")
        return self.lease_id is not None

    def let_go(self, why: str) -> None:
        """The hold ends by itself: limit, daemon killed, session killed."""
        assert self.lease_id is not None
        self.over[self.lease_id] = self._release_answer(self.lease_id, "expired", why)
        self.lease_id = None

    def check(self, request: holds.CheckRequest) -> holds.CheckAnswer:
        self._fail("check", "before")
        taken = self.held or self.is_prepared
        busy = (holds.Refusal(code="busy", message="another lease is held"),) if taken else ()
        answer = holds.CheckAnswer(
            ready=not (self.refusals or busy),
            refusals=self.refusals + busy,
            applications=tuple(
                holds.Application(
                    name=name,
                    engine="mysql",
                    version="1",
                    mode="lock",
                    mode_reason="told to",
                    paths=tuple(self._path(disk_id) for disk_id in self.written_disks),
                )
                for name in self.applications
            ),
            filesystems=tuple(holds.Filesystem(mount_point=f"/{d}", disk_id=d, type="ext4") for d in request.disks),
            holds_of_run=self.holds_of.get(request.run_id, 0) + (self.is_prepared and self.prepared_run == request.run_id),
        )
        self._fail("check", "after")
        return answer

    def _path(self, disk_id: str) -> holds.WrittenPath:
        role = "scratch" if disk_id in self.scratch_disks else "data"
        return holds.WrittenPath(
            role=role, path="/d", disk_id=disk_id, mount_point="/d", device="vdb", scratch=role == "scratch"
        )

    def prepare(self, request: holds.QuiesceRequest) -> holds.QuiesceAnswer:
        self.owes_a_release = True
        self._fail("prepare", "before")
        answer = self._prepare(request)
        self._fail("prepare", "after")
        return answer

    def _prepare(self, request: holds.QuiesceRequest) -> holds.QuiesceAnswer:
        assert request.lease_id not in self.over, "the procedure reused a lease id"
        if self.held or self.is_prepared:
            return self._refused(request.lease_id, "busy")
        if request.prior_holds != self.holds_of.get(request.run_id, 0):
            return self._refused(request.lease_id, "run_moved_on")
        if self.faults.strikes("prepare", "refused"):
            return self._refused(request.lease_id, "blocked")
        self.prepared_lease, self.prepared_until_s = request.lease_id, self.clock.now_s + PREPARED_S
        self.prepared_run = request.run_id
        return holds.QuiesceAnswer(
            lease_id=request.lease_id, state="prepared", refusal=None, witness=None, steps=(), hold_remaining_s=PREPARED_S
        )

    @property
    def is_prepared(self) -> bool:
        """Whether a lease has the place without holding yet."""
        if self.prepared_lease is not None and self.clock.now_s >= self.prepared_until_s:
            self.over[self.prepared_lease] = self._release_answer(self.prepared_lease, "never_held", "prepared too long")
            self.prepared_lease = None
        return self.prepared_lease is not None

    def quiesce(self, request: holds.QuiesceRequest) -> holds.QuiesceAnswer:
        assert self.owes_a_release, "a hold was asked for that was never prepared"
        self._fail("quiesce", "before")
        answer = self._quiesce(request)
        self._fail("quiesce", "after")
        return answer

    def _quiesce(self, request: holds.QuiesceRequest) -> holds.QuiesceAnswer:
        if not self.is_prepared or self.prepared_lease != request.lease_id:
            return self._refused(request.lease_id, "lease_over")
        self.prepared_lease = None
        if self.faults.strikes("quiesce", "refused"):
            return self._refused(request.lease_id, "blocked")
        self.holds_of[request.run_id] = self.holds_of.get(request.run_id, 0) + 1
        self.epoch += 1
        self.lease_id, self.gap = request.lease_id, self.gap_after_quiesce
        self.held_since_s = self.clock.now_s
        self.hold_ends_s = self.clock.now_s + request.hold_limit_s
        return holds.QuiesceAnswer(
            lease_id=request.lease_id,
            state="held",
            refusal=None,
            witness=self._witness(),
            steps=(),
            hold_remaining_s=request.hold_limit_s,
        )

    def release(self, request: holds.ReleaseRequest) -> holds.ReleaseAnswer:
        self.owes_a_release = False
        self._fail("release", "before")
        if self.held and request.lease_id == self.lease_id:
            self.told = self.told_at_release or self.told
            answer = self._release_answer(request.lease_id, "released", self.gap)
            self.lease_id = None
            self.over[request.lease_id] = answer
        elif self.is_prepared and request.lease_id == self.prepared_lease:
            self.prepared_lease = None
            self.over[request.lease_id] = self._release_answer(request.lease_id, "never_held", "only prepared")
        elif request.lease_id not in self.over:
            self.over[request.lease_id] = self._release_answer(request.lease_id, "never_held", "never held")
        self._fail("release", "after")
        return self.over[request.lease_id]

    def _release_answer(
        self, lease_id: str, state: Literal["released", "expired", "never_held"], reason: str
    ) -> holds.ReleaseAnswer:
        return holds.ReleaseAnswer(
            lease_id=lease_id,
            state=state,
            held_without_gap=not reason,
            reason=reason,
            witness=self._witness() if state == "released" else None,
            held_s=self.clock.now_s - self.held_since_s,
            steps=(),
            stalls=(),
            attachments=(),
        )

    def _refused(self, lease_id: str, code: str) -> holds.QuiesceAnswer:
        self.over.setdefault(lease_id, self._release_answer(lease_id, "never_held", code))
        return holds.QuiesceAnswer(
            lease_id=lease_id,
            state="refused",
            refusal=holds.Refusal(code=code, message="not now"),
            witness=None,
            steps=(),
            hold_remaining_s=0.0,
        )

    def _witness(self) -> holds.Witness:
        return holds.Witness(
            applications=tuple(msgspec.structs.replace(self.told, name=name) for name in self.applications),
            filesystems=tuple(
                holds.FilesystemWitness(mount_point=f"/{d}", disk_id=d, frozen=self.frozen) for d in self.disks
            ),
            freeze=self.freeze,
            freeze_reason="told to",
        )

    def _fail(self, step: str, moment: str) -> None:
        if self.faults.strikes(step, moment):
            raise AgentError(f"{step} {moment}", answered=False)

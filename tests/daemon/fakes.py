"""An instance that exists only in memory: its kernel, disks, guardian and applications, and one journal of them all.

The fakes refuse worlds that cannot be: thawing what is not frozen, locking twice, locking before a guardian is armed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional

from quiesced.config import AllowedLimits, Config, Listen
from quiesced.errors import Refused
from quiesced.guardian_client import Guarded
from quiesced.messages import (
    ApplicationWitness,
    CheckRequest,
    QuiesceRequest,
    Refusal,
    ReleaseRequest,
)
from quiesced.quiescers.base import Budget, HeldBy, Report, Scene, Watched
from quiesced.tally import GUARDIAN_FIRED
from tests.daemon.fake_machine import FakeDisks, FakeKernel, Journal


def config(
    root: Path, *, expedite: bool = False, by_id_dir: Path = Path("/nowhere"), only_applications_write: bool = False
) -> Config:
    """Build a configuration that allows 5 s to acquire and 60 s to hold."""
    return Config(
        listen=Listen("127.0.0.1", 0, root / "certificate.pem", root / "key.pem", None),
        keys={},
        limits=AllowedLimits(5.0, 60.0),
        disk_by_id_dir=by_id_dir,
        never_freeze=(),
        state_dir=root / "state",
        expedite_freeze=expedite,
        applications=(),
        only_applications_write=only_applications_write,
    )


def quiesce(lease_id: str = "lease-1", **fields: object) -> QuiesceRequest:
    """Ask for a hold of disk-0 and disk-1."""
    asked = QuiesceRequest(1, lease_id, "run-1", 0, ("disk-0", "disk-1"), 1.0, 10.0)
    return replace(asked, **fields)  # type: ignore[arg-type]  # names are checked by dataclasses.replace


def check(**fields: object) -> CheckRequest:
    """Ask what a hold of disk-0 and disk-1 would cover."""
    return replace(CheckRequest(1, "run-1", ("disk-0", "disk-1"), 1.0, 10.0), **fields)  # type: ignore[arg-type]


def release(lease_id: str = "lease-1") -> ReleaseRequest:
    """Release a lease."""
    return ReleaseRequest(1, lease_id)


class FakeGuardian:
    """A guardian that can be made to die or to fire."""

    def __init__(self, journal: Journal, guarded: Guarded, deadline_s: float, on_lost: Callable[[], None]) -> None:
        self.guarded = guarded
        self.deadline_s = deadline_s
        self.armed = True
        self._journal = journal
        self._on_lost = on_lost
        self.why_lost = ""
        journal.note("armed")

    def bring_forward(self, deadline_s: float) -> None:
        self.deadline_s = min(self.deadline_s, deadline_s)

    def lost(self) -> str:
        return self.why_lost

    def disarm(self) -> None:
        if self.armed:
            self._journal.note("disarmed")
        self.armed = False

    def fire(self) -> None:
        """Let go as at the deadline."""
        self._lose(GUARDIAN_FIRED)

    def die(self) -> None:
        """Die as if killed."""
        self._lose("the guardian process died")

    def _lose(self, why: str) -> None:
        self.why_lost = why
        self.armed = False
        self._on_lost()

    def nudge(self) -> None:
        """Make the keeper look at its clock, as the timeout of its wait would."""
        self._on_lost()


@dataclass
class FakeApplication:
    """An application with a lock, and the ways in which holding it can go wrong."""

    name: str
    journal: Journal
    is_guarded: Callable[[], bool]
    engine: str = "fake"
    paths: tuple[tuple[str, str], ...] = ()
    refusals: tuple[Refusal, ...] = ()
    fails_at: dict[str, Exception] = field(default_factory=dict)
    """Method name to what it raises."""
    waits_at_quiesce: Optional[threading.Event] = None
    locked: bool = False
    usual: str = "relaxed"
    setting: str = "relaxed"
    """``usual`` while nothing is held."""
    witness_says: dict[str, object] = field(default_factory=dict)
    witness_takes_s: float = 0.0
    lock_takes_s: float = 0.0
    on_quiesce: Callable[[], None] = lambda: None
    """What happens when its lock is asked for."""
    connection: int = -1
    watched: Watched = field(default_factory=Watched)
    held_by: HeldBy = HeldBy.LOCK
    keeps: dict[str, str] = field(default_factory=dict)
    """Texts by file name that its release gives."""

    def check(self, scene: Scene) -> Report:
        del scene
        self._step("check")
        return Report("1.0", self.paths, self.refusals)

    def prepare(self, budget: Budget, scene: Scene, register: Callable[[dict[str, object]], None]) -> FakeHold:
        del scene
        register({"setting": self.setting})
        self.setting = "strict"
        self._step("prepare")
        return FakeHold(self)

    def heal(self, leftover: dict[str, object]) -> None:
        self.journal.note(f"heal {self.name}")
        self.setting = str(leftover["setting"])
        self.locked = False

    def remains(self, leftover: dict[str, object]) -> tuple[str, ...]:
        del leftover
        return (f"{self.name}: its lock is held",) if self.locked else ()

    def _step(self, step: str) -> None:
        if step in self.fails_at:
            raise self.fails_at[step]


class FakeHold:
    """The hold of a fake application."""

    def __init__(self, application: FakeApplication) -> None:
        self.name = application.name
        self.held_by = application.held_by
        self.leftover: dict[str, object] = {"setting": application.usual}
        self._application = application

    def sockets(self) -> tuple[int, ...]:
        return () if self._application.connection < 0 else (self._application.connection,)

    def quiesce(self, budget: Budget) -> None:
        application = self._application
        assert not application.locked, "locked twice"
        assert application.is_guarded(), "locked before a guardian was armed"
        application.journal.note(f"lock {self.name}")
        while application.waits_at_quiesce and not application.waits_at_quiesce.wait(0.005):
            if budget.acquire_left_s() <= 0:
                raise Refused("acquire_timeout", f"{self.name}: the lock was not granted")
        threading.Event().wait(application.lock_takes_s)
        application.on_quiesce()
        application._step("quiesce")
        application.locked = True

    def witness(self) -> ApplicationWitness:
        self._application._step("witness")
        threading.Event().wait(self._application.witness_takes_s)
        seen = ApplicationWitness(
            name=self.name,
            engine="fake",
            session="session-7",
            session_alive=True,
            lock_shown=self._application.locked,
            lock_evidence="looked at the lock",
            position={"gtid": "0-1-42"},
            durable=True,
            durable_evidence="looked at the log",
            held_by=self.held_by.value,
        )
        return replace(seen, **self._application.witness_says)  # type: ignore[arg-type]  # checked by replace

    def watched(self) -> Watched:
        return self._application.watched

    def attachments(self) -> dict[str, str]:
        return {} if self._application.locked else self._application.keeps

    def release(self) -> None:
        self._application.journal.note(f"unlock {self.name}")
        self._application.locked = False
        self._application.setting = self._application.usual
        self._application._step("release")


class FakeInstance:
    """All of the above with two applications, ``first`` and ``second``."""

    def __init__(self, root: Path) -> None:
        self.journal = Journal()
        self.kernel = FakeKernel(self.journal)
        self.disks = FakeDisks(root)
        self.guardians: list[FakeGuardian] = []
        self.guardian_fails = False
        self.first = FakeApplication("first", self.journal, self.is_guarded)
        self.second = FakeApplication("second", self.journal, self.is_guarded)

    @property
    def applications(self) -> tuple[FakeApplication, ...]:
        return (self.first, self.second)

    @property
    def guardian(self) -> FakeGuardian:
        return self.guardians[-1]

    def is_guarded(self) -> bool:
        return bool(self.guardians) and self.guardian.armed

    def start_guardian(self, guarded: Guarded, deadline_s: float, on_lost: Callable[[], None]) -> FakeGuardian:
        if self.guardian_fails:
            raise Refused("guardian_failed", "the guardian process did not arm: no memory")
        self.guardians.append(FakeGuardian(self.journal, guarded, deadline_s, on_lost))
        return self.guardian

    def holds_nothing(self) -> bool:
        """Whether nothing is locked, frozen, changed or guarded."""
        as_before = all(not app.locked and app.setting == app.usual for app in self.applications)
        return as_before and not self.kernel.frozen and not any(guardian.armed for guardian in self.guardians)

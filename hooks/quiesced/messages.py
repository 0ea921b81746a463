"""The messages of the hook protocol, version 1, as the daemon reads and writes them (hooks/PROTOCOL.md).

Plain dataclasses, because the daemon must run as one pure-Python zipapp on Python 3.9 (docs/adr/0001).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

PROTOCOL = 1


@dataclass(frozen=True)
class CheckRequest:
    """Ask what a hold would cover; changes nothing. Limits in seconds."""

    protocol: int
    run_id: str
    disks: tuple[str, ...]
    acquire_limit_s: float
    hold_limit_s: float


@dataclass(frozen=True)
class QuiesceRequest:
    """Ask for a hold, or for its preparation, under a lease id that the function made."""

    protocol: int
    lease_id: str
    run_id: str
    prior_holds: int
    disks: tuple[str, ...]
    acquire_limit_s: float
    hold_limit_s: float


@dataclass(frozen=True)
class ReleaseRequest:
    """Let go of whatever is held under this lease."""

    protocol: int
    lease_id: str


@dataclass(frozen=True)
class Refusal:
    """Why a hold is refused: a code of hooks/PROTOCOL.md and a sentence that says what to do."""

    code: str
    message: str


@dataclass(frozen=True)
class WrittenPath:
    """A path that an application writes, where it lies, and on which disk (None: on no known disk).

    ``scratch`` marks what a restore does without, such as temporary files. ``device`` is the kernel's name of the block
    device that is mounted at ``mount_point``.
    """

    role: str
    path: str
    disk_id: Optional[str]
    mount_point: Optional[str]
    device: Optional[str]
    scratch: bool


@dataclass(frozen=True)
class Application:
    """An application that a hold would cover, and how: ``mode`` is the engine's word, ``mode_reason`` why it was chosen."""

    name: str
    engine: str
    version: str
    mode: str
    mode_reason: str
    paths: tuple[WrittenPath, ...]


@dataclass(frozen=True)
class Filesystem:
    """A filesystem that a hold would freeze."""

    mount_point: str
    disk_id: str
    type: str


@dataclass(frozen=True)
class CheckAnswer:
    """What a hold would cover, and everything that would refuse it."""

    ready: bool
    refusals: tuple[Refusal, ...]
    applications: tuple[Application, ...]
    filesystems: tuple[Filesystem, ...]
    holds_of_run: int
    protocol: int = PROTOCOL


@dataclass(frozen=True)
class ApplicationWitness:
    """What was observed of one application's hold (hooks/PROTOCOL.md, Witness)."""

    name: str
    engine: str
    session: str
    session_alive: bool
    lock_shown: bool
    lock_evidence: str
    position: dict[str, str]
    durable: bool
    durable_evidence: str
    held_by: str = "lock"
    """What keeps its writers still: ``lock`` (its own), ``freeze`` (of its filesystems), or ``word`` (it only says so)."""
    mode: str = ""
    mode_reason: str = ""


@dataclass(frozen=True)
class FilesystemWitness:
    """Whether a second freeze of a filesystem was refused with EBUSY."""

    mount_point: str
    disk_id: str
    frozen: bool


@dataclass(frozen=True)
class Witness:
    """Everything observed of a hold at one moment. ``freeze`` is ``all`` or ``none``, and ``freeze_reason`` says why."""

    applications: tuple[ApplicationWitness, ...]
    filesystems: tuple[FilesystemWitness, ...]
    freeze: str = "all"
    freeze_reason: str = ""


@dataclass(frozen=True)
class Step:
    """One step, with how long it took in seconds."""

    name: str
    elapsed_s: float


@dataclass(frozen=True)
class Stall:
    """What one application's writers had to wait: the most at one look, writers x seconds, and how many looks."""

    name: str
    peak_writers: int
    writer_s: float
    samples: int


@dataclass(frozen=True)
class Attachment:
    """A file that an application needs beside the snapshots to be restored, such as PostgreSQL's backup_label."""

    application: str
    name: str
    content: str


@dataclass(frozen=True)
class QuiesceAnswer:
    """*held* with the first witness, *prepared*, or *refused*.

    ``hold_remaining_s`` is how long a hold lasts, or a preparation stands, when nothing more is asked for.
    """

    lease_id: str
    state: str
    refusal: Optional[Refusal]
    witness: Optional[Witness]
    steps: tuple[Step, ...]
    hold_remaining_s: float
    protocol: int = PROTOCOL


@dataclass(frozen=True)
class ReleaseAnswer:
    """The second witness, and whether the hold had no gap."""

    lease_id: str
    state: str
    held_without_gap: bool
    reason: str
    witness: Optional[Witness]
    held_s: float
    steps: tuple[Step, ...]
    stalls: tuple[Stall, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    protocol: int = PROTOCOL


@dataclass(frozen=True)
class StatusAnswer:
    """What is held now: ``state`` is ``idle``, ``acquiring`` or ``held``."""

    version: str
    state: str
    lease_id: Optional[str]
    run_id: Optional[str]
    hold_remaining_s: float
    protocol: int = PROTOCOL

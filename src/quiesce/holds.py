"""The messages of the hook protocol, version 1, as the function reads and writes them (hooks/PROTOCOL.md).

Unknown fields are refused: an answer that we do not fully understand is not evidence.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every message."""

    protocol: Literal[1] = 1


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of what messages are made of."""


class CheckRequest(Message, frozen=True, kw_only=True):
    """Ask what a hold would cover; changes nothing."""

    run_id: str
    disks: tuple[str, ...]
    acquire_limit_s: float
    hold_limit_s: float


class QuiesceRequest(CheckRequest, frozen=True, kw_only=True):
    """Ask for a hold under a lease id that the function made."""

    lease_id: str
    prior_holds: int


class ReleaseRequest(Message, frozen=True, kw_only=True):
    """Let go of whatever is held under this lease."""

    lease_id: str


class Refusal(Part, frozen=True, kw_only=True):
    """Why the hook will not hold: a code from hooks/PROTOCOL.md and a sentence that says what to do."""

    code: str
    message: str


class WrittenPath(Part, frozen=True, kw_only=True):
    """A path that an application writes, where it lies, and on which disk (None: on no known disk).

    A restore does without what is ``scratch``, such as temporary files.
    """

    role: str
    path: str
    disk_id: str | None
    mount_point: str | None
    device: str | None
    scratch: bool


class Application(Part, frozen=True, kw_only=True):
    """An application that a hold would cover, and how: ``mode`` is the engine's word."""

    name: str
    engine: str
    version: str
    mode: str
    mode_reason: str
    paths: tuple[WrittenPath, ...]


class Filesystem(Part, frozen=True, kw_only=True):
    """A filesystem that a hold would freeze."""

    mount_point: str
    disk_id: str
    type: str


class CheckAnswer(Message, frozen=True, kw_only=True):
    """What a hold would cover, and everything that would refuse it."""

    ready: bool
    refusals: tuple[Refusal, ...]
    applications: tuple[Application, ...]
    filesystems: tuple[Filesystem, ...]
    holds_of_run: int


class ApplicationWitness(Part, frozen=True, kw_only=True):
    """What was observed of one application's hold (fields: hooks/PROTOCOL.md, Witness)."""

    name: str
    engine: str
    session: str
    session_alive: bool
    lock_shown: bool
    lock_evidence: str
    position: dict[str, str]
    durable: bool
    durable_evidence: str
    held_by: Literal["lock", "freeze", "word"]
    mode: str
    mode_reason: str


class FilesystemWitness(Part, frozen=True, kw_only=True):
    """Whether a second freeze of a filesystem was refused with EBUSY."""

    mount_point: str
    disk_id: str
    frozen: bool


class Witness(Part, frozen=True, kw_only=True):
    """Everything observed of a hold at one moment."""

    applications: tuple[ApplicationWitness, ...]
    filesystems: tuple[FilesystemWitness, ...]
    freeze: Literal["all", "none"]
    freeze_reason: str


class Step(Part, frozen=True, kw_only=True):
    """One step of the hook, with how long it took in seconds."""

    name: str
    elapsed_s: float


class QuiesceAnswer(Message, frozen=True, kw_only=True):
    """*held* with the first witness, *prepared*, or *refused*."""

    lease_id: str
    state: Literal["held", "prepared", "refused"]
    refusal: Refusal | None
    witness: Witness | None
    steps: tuple[Step, ...]
    hold_remaining_s: float


class Stall(Part, frozen=True, kw_only=True):
    """What one application's writers had to wait: the most at one look, writers x seconds, and how many looks."""

    name: str
    peak_writers: int
    writer_s: float
    samples: int


class Attachment(Part, frozen=True, kw_only=True):
    """A file that an application needs beside the snapshots to be restored, such as PostgreSQL's backup_label."""

    application: str
    name: str
    content: str


class ReleaseAnswer(Message, frozen=True, kw_only=True):
    """The second witness, and whether the hold had no gap."""

    lease_id: str
    state: Literal["released", "expired", "never_held"]
    held_without_gap: bool
    reason: str
    witness: Witness | None
    held_s: float
    steps: tuple[Step, ...]
    stalls: tuple[Stall, ...]
    attachments: tuple[Attachment, ...]

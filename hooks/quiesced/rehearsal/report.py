"""What a rehearsal found, and when that is not safe. Values only; times in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from quiesced.messages import CheckAnswer, Step
from quiesced.words import _, later

SAFE, NOT_SAFE = later("safe to enable"), later("not safe")
THAW_LIMIT_S = 1.0
"""A guardian that takes longer to thaw does not deserve trust: 20 ms is usual (docs/guardian.md)."""
GUARDIAN, HEAL = later("the guardian"), later("quiesced heal, as systemd runs it after a crash")

REMEDIES = {
    "not_root": later("run it as root: sudo quiesced rehearse"),
    "busy": later("wait until nothing is held (quiesced status), then run it again"),
    "left_held": later("run: quiesced heal"),
    "service_silent": later(
        "look at the service: systemctl status quiesced; restart it after changing address or certificate"
    ),
    "no_disk": later("attach a data disk, or look at disk_by_id_dir; quiesced check shows what is found"),
    "unknown_disk": later("check the disk id, and that the disk is attached"),
    "unsafe_mount": later("leave the disk out (--disks), or move what must not be frozen to another disk"),
    "application_unreachable": later("start the application, and give the account the grants in quiesced.example.toml"),
    "blocked": later("wait for what stands in the way, or end it, then run it again"),
    "writers_piled_up": later("run it when less is written, or raise max_stalled_writers"),
    "acquire_timeout": later("run it when less is written, or raise limits.acquire_limit_s"),
    "not_durable": later("look at the application's log, and at how busy its disk is"),
    "freeze_failed": later("see that no other backup program freezes the filesystem, and look at the kernel's log"),
    "guardian_failed": later("see that the service may lock memory (LimitMEMLOCK=infinity) and start processes"),
    "gap": later("keep others from thawing or unlocking during a hold, and run it again"),
    "stalled_too_long": later("look at how busy the disk is, and at the kernel's log"),
    "probe_failed": later("make the filesystem writable and free some space, then run it again"),
    "stays_frozen": later("thaw it at once: fsfreeze --unfreeze MOUNT-POINT; then look at the kernel's log"),
    "slow_thaw": later("run it when the machine is less busy; with the service, Nice= gives the guardian priority"),
    "still_held": later("end the named session by hand, then run: quiesced heal"),
    "no_answer": later("look at the messages on standard error, and run it again"),
}


@dataclass(frozen=True)
class Reason:
    """Why it is not safe: a code, a sentence, and what to do."""

    code: str
    message: str
    remedy: str


def reason(code: str, message: str) -> Reason:
    """Make a reason, with what to do about this code."""
    return Reason(code, message, _(REMEDIES.get(code, later("hooks/PROTOCOL.md says what the code means"))))


@dataclass(frozen=True)
class Stalled:
    """How long the probe on one filesystem waited at most during the hold, and usually, before it."""

    mount_point: str
    stall_s: float
    usual_s: float


@dataclass(frozen=True)
class Held:
    """One hold from the request to the release."""

    held_s: float
    without_gap: bool
    steps: tuple[Step, ...]
    stalls: tuple[Stalled, ...]

    @property
    def stall_s(self) -> float:
        """The longest that any probe waited."""
        return max((stalled.stall_s for stalled in self.stalls), default=0.0)


@dataclass(frozen=True)
class Thawed:
    """How soon after the kill a frozen filesystem took a write again; None when it did not."""

    mount_point: str
    thaw_s: Optional[float]


@dataclass(frozen=True)
class Killed:
    """What became of a hold whose holder was killed. ``unlocked_s``: after the kill; None while something is held."""

    thaws: tuple[Thawed, ...]
    unlocked_s: Optional[float]
    unlocked_by: str

    @property
    def thaw_s(self) -> Optional[float]:
        """When the last filesystem took a write again; None when there was none to thaw, or one that stays frozen."""
        times = [thawed.thaw_s for thawed in self.thaws if thawed.thaw_s is not None]
        return max(times) if times and len(times) == len(self.thaws) else None


@dataclass(frozen=True)
class Report:
    """Everything that a rehearsal found. ``at`` is in UTC, ``through`` says who held the first time."""

    version: str
    at: str
    through: str = ""
    disks: tuple[str, ...] = ()
    check: Optional[CheckAnswer] = None
    held: Optional[Held] = None
    killed: Optional[Killed] = None
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def safe(self) -> bool:
        """Whether both holds were made, and nothing speaks against another."""
        return self.held is not None and self.killed is not None and not self.reasons

    @property
    def verdict(self) -> str:
        """The same in words."""
        return SAFE if self.safe else NOT_SAFE


def against_hold(held: Held, why_gap: str, most_s: float) -> tuple[Reason, ...]:
    """Say what speaks against a hold that was made; a stall of more than ``most_s`` does."""
    found = []
    if not held.without_gap:
        found.append(reason("gap", _("the hold did not last until it was released: {why}", why=why_gap)))
    for stalled in held.stalls:
        if stalled.stall_s > most_s:
            words = later("a write on {mount_point} waited {stall_s:.3f} s; at most {most_s:.3f} s was allowed")
            message = _(words, mount_point=stalled.mount_point, stall_s=stalled.stall_s, most_s=most_s)
            found.append(reason("stalled_too_long", message))
    return tuple(found)


def against_kill(killed: Killed, remaining: tuple[str, ...]) -> tuple[Reason, ...]:
    """Say what speaks against how a kill ended; ``remaining`` is what was still held at the end."""
    found = []
    for thawed in killed.thaws:
        if thawed.thaw_s is None:
            found.append(
                reason("stays_frozen", _("{where} took no write any more after the kill", where=thawed.mount_point))
            )
        elif thawed.thaw_s > THAW_LIMIT_S:
            words = later("{mount_point} thawed {thaw_s:.3f} s after the kill; {most_s:g} s is the most")
            message = _(words, mount_point=thawed.mount_point, thaw_s=thawed.thaw_s, most_s=THAW_LIMIT_S)
            found.append(reason("slow_thaw", message))
    return (*found, *(reason("still_held", one) for one in remaining))

"""The certificate: what a set of snapshots may be called, on what evidence, signed so that a change shows.

Canonical JSON (keys sorted, no spaces) under HMAC-SHA256 with a key id, so that a reader with the key can tell that it
was not altered. A short seal of the same kind goes into the snapshots' tags, for a second delivery to repeat the level.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import msgspec

from quiesce import facts
from quiesce.course import Outcome, Together
from quiesce.holds import Attachment, Stall, Witness
from quiesce.model import Level, Snapshot, TargetPlan
from quiesce.story import Story

VERSION = 1
TAG_LEVEL = "quiesce:level"
TAG_SEAL = "quiesce:seal"
TAG_SET_SIZE = "quiesce:set-size"
"""How many snapshots the set has: one that lost a member restores nothing, and no state says that a snapshot is gone."""
SEAL_DIGITS = 32
SINGLY, BY_GROUP = "CreateSnapshot", "CreateSnapshotGroup"


class SigningKey(msgspec.Struct, frozen=True):
    """A secret with the id that certificates name it by."""

    key_id: str
    secret: bytes

    def sign(self, content: bytes) -> str:
        """Lower-case hex of HMAC-SHA256."""
        return hmac.new(self.secret, content, hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id!r}, secret)"


class TogetherPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Instances that were to be cut together, and the level of all of them as one.

    ``skew_s``: seconds from the first call that was sent to the last that was accepted; null when they were not all held at
    the same time.
    """

    members: tuple[str, ...]
    level: str
    skew_s: float | None


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One target's certificate. ``held_s`` is the hook's own count of the hold, in seconds.

    ``created_by`` is the call that was sent for the set, null when this delivery sent none; ``group_refusal`` says why it
    was not CreateSnapshotGroup although the policy wanted that.
    """

    version: int
    run_id: str
    policy: str
    instance_id: str
    level: str
    level_asked: str
    reasons: tuple[str, ...]
    snapshots: dict[str, str]
    created_by: str | None
    group_id: str | None
    group_refusal: str
    together: TogetherPart | None
    hold_until: str
    lease_id: str | None
    held_s: float | None
    release_confirmed: bool
    stalls: tuple[Stall, ...]
    positions: dict[str, dict[str, str]]
    attachments: tuple[Attachment, ...]
    witness_began: Witness | None
    witness_ended: Witness | None
    issued_at: str
    key_id: str
    signature: str = ""


def issue(outcome: Outcome, key: SigningKey, issued_at: str) -> Certificate:
    """Write down the verdict with its evidence and sign it. ``issued_at`` is ISO 8601 in UTC."""
    plan, verdict, story = outcome.plan, outcome.verdict, Story(tuple(entry.fact for entry in outcome.entries))
    began = story.held.witness if story.held else None
    ended = story.released.witness if story.released else None
    unsigned = Certificate(
        version=VERSION,
        run_id=plan.run_id,
        policy=plan.policy,
        instance_id=plan.instance_id,
        level=verdict.level.word,
        level_asked=plan.level.word,
        reasons=verdict.reasons,
        snapshots=verdict.snapshots,
        created_by=_created_by(plan, story),
        group_id=story.group.group_id if story.group else None,
        group_refusal=_group_refusal(story),
        together=_together(outcome.together),
        hold_until=plan.hold_until.value,
        lease_id=story.lease_id,
        held_s=story.released.held_s if story.released else None,
        release_confirmed=verdict.release_confirmed,
        stalls=story.released.stalls if story.released else (),
        attachments=story.released.attachments if story.released else (),
        positions={w.name: w.position for w in began.applications} if began else {},
        witness_began=began,
        witness_ended=ended,
        issued_at=issued_at,
        key_id=key.key_id,
    )
    return msgspec.structs.replace(unsigned, signature=key.sign(_canonical(unsigned)))


def _together(together: Together | None) -> TogetherPart | None:
    if together is None:
        return None
    skew_s = None if together.skew_s is None else round(together.skew_s, 6)
    return TogetherPart(members=together.members, level=together.level.word, skew_s=skew_s)


def _created_by(plan: TargetPlan, story: Story) -> str | None:
    if not story.all(facts.CreateSent):
        return None
    return BY_GROUP if plan.grouped and not story.group_unavailable else SINGLY


def _group_refusal(story: Story) -> str:
    unavailable = story.group_unavailable
    return f"{unavailable.code}: {unavailable.message}" if unavailable else ""


def is_genuine(certificate: Certificate, key: SigningKey) -> bool:
    """Whether this key signed exactly this content."""
    unsigned = msgspec.structs.replace(certificate, signature="")
    expected = key.sign(_canonical(unsigned))
    return certificate.key_id == key.key_id and hmac.compare_digest(expected.encode(), certificate.signature.encode())


def _canonical(certificate: Certificate) -> bytes:
    return msgspec.json.encode(certificate, order="sorted")


def seal(plan: TargetPlan, level: Level, snapshots: Mapping[str, str], key: SigningKey) -> str:
    """Sign the level of exactly these snapshots, short enough for a tag: ``<key id>:<digits>``."""
    content = msgspec.json.encode([plan.run_id, plan.instance_id, level.word, dict(snapshots)], order="sorted")
    return f"{key.key_id}:{key.sign(content)[:SEAL_DIGITS]}"


def recorded_level(plan: TargetPlan, found: Mapping[str, Snapshot], key: SigningKey) -> Level | None:
    """Read the level that an earlier delivery sealed on this very set; None when any part of it does not match."""
    if set(found) != set(plan.disks):
        return None
    ids = {disk_id: snapshot.snapshot_id for disk_id, snapshot in found.items()}
    for level in Level:
        expected = seal(plan, level, ids, key)
        if all(
            s.tags.get(TAG_LEVEL) == level.word and hmac.compare_digest(s.tags.get(TAG_SEAL, "").encode(), expected.encode())
            for s in found.values()
        ):
            return level
    return None

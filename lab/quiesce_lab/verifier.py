"""The verdict on a restored snapshot, from what the writers know, what is on the restored disk, and the cloud's record.

It trusts nobody: it imports nothing of the function or the daemon, and every count is free of races between processes
(docs/adr/0006). A write that was under way when the first call arrived or when the last was answered may have either fate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from quiesce_lab.ledger import Write, payload

Key = tuple[int, int]
"""Writer and sequence number."""
_SHOWN = 5
_COUNTS = (
    "acknowledged",
    "rows",
    "lost",
    "from_after_the_hold",
    "gaps",
    "committed_during_the_call",
    "unaccounted",
    "altered",
)


@dataclass(frozen=True)
class Window:
    """From the arrival of the first CreateSnapshot call to the answer to the last, in seconds of CLOCK_MONOTONIC.

    ``cut`` is just before the first disk was cut. All as the cloud recorded them. Several disks are judged against the
    whole window.
    """

    began: float
    cut: float
    ended: float

    @classmethod
    def around(cls, calls: Iterable[tuple[float, float, float]]) -> Window:
        """Join the calls of one set, each as (arrived, cut, answered). Raises ValueError when there are none."""
        arrived, cut, answered = zip(*calls, strict=True)
        return cls(min(arrived), min(cut), max(answered))


@dataclass(frozen=True)
class Restored:
    """What a second server found on the restored disk. ``rows`` maps each key to its content.

    ``damage`` is what the engine's own check of the table complained about. When the server does not start, ``rows`` is
    empty and ``error_log`` has its last words.
    """

    starts: bool
    rows: Mapping[Key, bytes] = dataclasses.field(default_factory=dict)
    damage: tuple[str, ...] = ()
    error_log: tuple[str, ...] = ()
    position: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Where the restored server says it is, by the names that the certificate uses."""


@dataclass(frozen=True)
class Verdict:
    """What a restore is worth. Counts are numbers of rows."""

    starts: bool
    acknowledged: int
    """Writes in the ledger that were acknowledged, whenever."""
    rows: int
    """Rows on the restored disk."""
    lost: int
    """Acknowledged before the first disk was cut, and absent."""
    from_after_the_hold: int
    """Sent after the window began, and present."""
    gaps: int
    """Absent although a later row of the same writer is present and the server never refused them."""
    committed_during_the_call: int
    """Sent after the window began and acknowledged before it ended: nothing was holding the writers."""
    unaccounted: int
    """Present, but never sent according to the ledger."""
    altered: int
    """Present with a content that was never sent."""
    damage: tuple[str, ...]
    error_log: tuple[str, ...]
    examples: tuple[str, ...]
    """Some of the rows behind the counts, as ``lost 3:1042``."""
    position: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Where the restored server says it is."""

    @property
    def intact(self) -> bool:
        """The database starts and is one that existed: every acknowledged row up to one moment, and no damage."""
        broken = self.lost or self.gaps or self.unaccounted or self.altered or self.damage
        return self.starts and not broken

    @property
    def consistent(self) -> bool:
        """Intact, and the moment is the hold: nothing from after it, nothing committed while it lasted."""
        return self.intact and not (self.from_after_the_hold or self.committed_during_the_call)


def judge(ledger: Iterable[Write], restored: Restored, window: Window) -> Verdict:
    """Compare a restored disk with the ledger."""
    writes = _by_key(ledger)
    rows = restored.rows
    findings = {
        "lost": [key for key, w in writes.items() if _acked_before(w, window.cut) and key not in rows],
        "from after the hold": [key for key, w in writes.items() if w.sent_at > window.began and key in rows],
        "gap": _gaps(rows, writes),
        "unaccounted": [key for key in rows if key not in writes],
        "altered": [key for key, content in rows.items() if content != payload(*key)],
    }
    during = sum(w.sent_at > window.began and _acked_before(w, window.ended) for w in writes.values())
    return Verdict(
        starts=restored.starts,
        acknowledged=sum(w.acked_at is not None for w in writes.values()),
        rows=len(rows),
        lost=len(findings["lost"]),
        from_after_the_hold=len(findings["from after the hold"]),
        gaps=len(findings["gap"]),
        committed_during_the_call=during,
        unaccounted=len(findings["unaccounted"]),
        altered=len(findings["altered"]),
        damage=restored.damage,
        error_log=restored.error_log,
        position=restored.position,
        examples=tuple(f"{what} {key[0]}:{key[1]}" for what, keys in findings.items() for key in sorted(keys)[:_SHOWN]),
    )


def together(verdicts: Mapping[str, Verdict]) -> Verdict:
    """Add up the verdicts of several applications, by name: all of it starts, or nothing does."""
    if len(verdicts) == 1:
        return next(iter(verdicts.values()))
    merged: dict[str, Any] = {count: sum(getattr(verdict, count) for verdict in verdicts.values()) for count in _COUNTS}
    for words in ("damage", "error_log", "examples"):
        said = ((name, word) for name, verdict in verdicts.items() for word in getattr(verdict, words))
        merged[words] = tuple(f"{name}: {word}" for name, word in said)
    merged["position"] = {f"{name} {key}": at for name, verdict in verdicts.items() for key, at in verdict.position.items()}
    return Verdict(starts=all(verdict.starts for verdict in verdicts.values()), **merged)


def _by_key(ledger: Iterable[Write]) -> dict[Key, Write]:
    """One write a key. A key that is there twice was given up first and acknowledged after all."""
    writes: dict[Key, Write] = {}
    for write in ledger:
        if write.key not in writes or write.acked_at is not None:
            writes[write.key] = write
    return writes


def _acked_before(write: Write, moment: float) -> bool:
    return write.acked_at is not None and write.acked_at < moment


def _gaps(rows: Collection[Key], writes: Mapping[Key, Write]) -> list[Key]:
    """Holes below each writer's last row. A write that was never acknowledged may be missing without being a hole."""
    last: dict[int, int] = {}
    for writer, seq in rows:
        last[writer] = max(seq, last.get(writer, 0))
    present = frozenset(rows)
    refused = {key for key, write in writes.items() if write.acked_at is None}
    return [
        (writer, seq)
        for writer, highest in last.items()
        for seq in range(1, highest)
        if (writer, seq) not in present and (writer, seq) not in refused
    ]

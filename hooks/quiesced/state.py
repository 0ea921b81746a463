"""What the daemon keeps in its state directory, so that its successor can let go of what it left behind.

The directory lies on tmpfs (/run): a reboot empties it, and rightly so, because a reboot thaws and unlocks everything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quiesced import kept
from quiesced.lease import Record
from quiesced.place import Place


@dataclass(frozen=True)
class Leftover:
    """What ``heal`` of one application needs."""

    engine: str
    name: str
    content: dict[str, object]


@dataclass(frozen=True)
class FrozenMount:
    """A filesystem that may be frozen: where it was mounted and its device number."""

    mount_point: str
    device: str


@dataclass(frozen=True)
class Held:
    """Everything that one lease may hold. ``expedited``: the kernel was asked to hurry, from 0."""

    lease_id: str
    mounts: tuple[FrozenMount, ...]
    expedited: bool
    leftovers: tuple[Leftover, ...]


class StateDir:
    """Two files: what may be held now, and every lease that is remembered; and the place of this machine. Raises OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held = directory / "held.json"
        self._leases = directory / "leases.json"
        self.place = Place(directory)

    def write_held(self, held: Held) -> None:
        """Store what is about to be held."""
        self._write(self._held, json.dumps(asdict(held)))

    def read_held(self) -> Held | None:
        """Read what an earlier daemon was holding when it ended; None when it left nothing."""
        read = self._read(self._held)
        if read is None:
            return None
        return Held(
            read["lease_id"],
            tuple(FrozenMount(**mount) for mount in read["mounts"]),
            read["expedited"],
            tuple(Leftover(**leftover) for leftover in read["leftovers"]),
        )

    def clear_held(self) -> None:
        """Forget what was held, because all of it was let go."""
        self._held.unlink(missing_ok=True)

    def write_leases(self, records: Sequence[Record]) -> None:
        """Store every lease."""
        self._write(self._leases, f"[{', '.join(map(_line, records))}]")

    def read_leases(self) -> tuple[Record, ...]:
        """Read every lease that an earlier daemon stored."""
        return tuple(_record(read) for read in self._read(self._leases) or ())

    def _write(self, path: Path, content: str) -> None:
        """Replace a file as a whole, so that a reader never sees half of one."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(content, encoding="utf-8")
        draft.replace(path)

    def _read(self, path: Path) -> Any:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None


def _line(record: Record) -> str:
    head = json.dumps({"lease_id": record.lease_id, "run_id": record.run_id, "granted": record.granted})
    return f'{head[:-1]}, "release": {record.release or "null"}}}'


def _record(read: dict[str, Any]) -> Record:
    release = json.dumps(read["release"]) if read["release"] else None
    if release:
        kept.answer_of(release)  # a file that holds anything else is not believed
    return Record(read["lease_id"], read["run_id"], read["granted"], release)

"""What the lab is about to change on this machine, written down before it is changed.

One JSON line an entry, appended to ``journal.jsonl`` in the state directory. ``cleanup`` undoes them in reverse.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class ProcessEntry:
    """A process, leader of a session of its own. It waits for this entry before it does anything."""

    pid: int
    started: int
    name: str


@dataclass(frozen=True)
class MountEntry:
    """A mount point inside of the state directory."""

    mount_point: str


@dataclass(frozen=True)
class LoopEntry:
    """An image that becomes a loop device."""

    image: str


@dataclass(frozen=True)
class TreeEntry:
    """A file or directory tree that the lab makes."""

    path: str


Entry = ProcessEntry | MountEntry | LoopEntry | TreeEntry
_KINDS: dict[str, type[Entry]] = {
    "process": ProcessEntry,
    "mount": MountEntry,
    "loop": LoopEntry,
    "tree": TreeEntry,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class Journal:
    """The journal of one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / JOURNAL

    def write(self, entry: Entry) -> None:
        """Append one entry; it is with the kernel when this returns, and outlives this process."""
        line = json.dumps({"kind": _NAMES[type(entry)], **dataclasses.asdict(entry)})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def read(self) -> tuple[Entry, ...]:
        """Every entry, oldest first. A last line without an end was never acted on, and is left out."""
        if not self.path.exists():
            return ()
        complete, _, _ = self.path.read_text(encoding="utf-8").rpartition("\n")
        return tuple(_entry(line) for line in complete.splitlines())

    def forget(self) -> None:
        """Remove the journal: everything in it is undone."""
        self.path.unlink(missing_ok=True)


def _entry(line: str) -> Entry:
    fields = json.loads(line)
    return _KINDS[fields.pop("kind")](**fields)

#!/usr/bin/python3
"""Holds MongoDB by mongosh: an example of a script that is called and gives its word only (docs/mongodb.md).

    command = ["/etc/quiesced/hooks.d/mongodb", "/run/quiesced/mongodb.locked",
               "/usr/bin/mongosh", "--quiet", "--norc", "mongodb://127.0.0.1/admin"]

fsyncLock counts and is not tied to a session: it outlives whoever asked for it. So a marker, outside the disks that are
frozen, says that one lock is ours, and release undoes one lock only where there is a marker.
Not tested against a real MongoDB server.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

IN_THE_WAY = 75
LOCKED = "JSON.stringify({locked: db.adminCommand({currentOp: 1}).fsyncLock === true})"
LOCK = "JSON.stringify({locks: Number(db.adminCommand({fsync: 1, lock: true}).lockCount)})"
UNLOCK = "JSON.stringify({locks: Number(db.adminCommand({fsyncUnlock: 1}).lockCount)})"


def ask(mongosh: list[str], expression: str) -> dict[str, object]:
    """Evaluate one expression at the server. Raises CalledProcessError or ValueError."""
    done = subprocess.run(
        [*mongosh, "--eval", expression], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, text=True
    )
    said = json.loads(done.stdout)
    if not isinstance(said, dict):
        raise ValueError(f"mongosh said {done.stdout[:80]!r}")
    return said


def check(mongosh: list[str]) -> int:
    """Refuse while somebody else has it locked. Prints no JSON: nothing here could be a witness."""
    if ask(mongosh, LOCKED)["locked"]:
        sys.stderr.write("the server is locked already (db.fsyncLock); another backup may be running\n")
        return IN_THE_WAY
    return 0


def quiesce(marker: Path, mongosh: list[str]) -> int:
    """Lock once. The marker comes first: a crash in between leaves a release that finds nothing to undo."""
    marker.touch(mode=0o600)
    locks = ask(mongosh, LOCK)["locks"]
    if locks != 1:
        sys.stderr.write(f"the server counts {locks} locks, so one is not ours\n")
        return IN_THE_WAY
    return 0


def release(marker: Path, mongosh: list[str]) -> int:
    """Undo our lock, if there is one. What others locked stays locked."""
    if not marker.exists():
        return 0
    if ask(mongosh, LOCKED)["locked"]:
        ask(mongosh, UNLOCK)
    marker.unlink()
    return 0


def main() -> int:
    """Do what the last argument says."""
    marker, mongosh, word = Path(sys.argv[1]), sys.argv[2:-1], sys.argv[-1]
    if word == "check":
        return check(mongosh)
    return quiesce(marker, mongosh) if word == "quiesce" else release(marker, mongosh)


if __name__ == "__main__":
    sys.exit(main())

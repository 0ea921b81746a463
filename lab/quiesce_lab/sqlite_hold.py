"""Holding a SQLite database in a process of its own, as the daemon does: says ``held``, waits for a line, lets go.

Not in the lab's process: SQLite's locks belong to a process, which gives them all up when it closes any descriptor of the
file, and the lab's cloud copies that very file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from quiesced.errors import Refused
from quiesced.quiescers.base import Budget, Scene
from quiesced.quiescers.sqlite import Options, SqliteQuiescer

SCENE = Scene(covers=lambda _path: True)
BUDGET = Budget(acquire_left_s=lambda: 2.0, hold_limit_s=10.0)


def main(database: Path) -> int:
    """Hold until standard input has a line or ends."""
    try:
        hold = SqliteQuiescer("orders", Options(database)).prepare(BUDGET, SCENE, lambda _leftover: None)
        hold.quiesce(BUDGET)
    except Refused as error:
        print(f"refused: {error}", flush=True)
        return 1
    try:
        print("held", flush=True)
        sys.stdin.readline()
    finally:
        hold.release()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""``make faults``: every case of the fault matrix, and what it showed in build/faults.json."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from quiesce_lab import needs

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("src", "hooks", "lab")]

from tests.faults import matrix  # noqa: E402 - the programs' folders come first


def main() -> int:
    """Run the matrix, or show it."""
    parser = argparse.ArgumentParser(prog="tests.faults", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="labs at the same time (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases with this in their name")
    parser.add_argument("--list", action="store_true", help="show the cases, run none")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=Path("build/faults.json"))
    given = parser.parse_args()
    if given.list:
        print("\n".join(map(str, matrix.chosen(given.only))))
        return 0
    look = needs.look()
    if not look.met:
        print(f"the fault matrix needs: {look.reason}", file=sys.stderr)
        return 1
    if given.part:
        number, of = map(int, given.part.split("/"))
        matrix.work(number, of, given.only, given.output)
        return 0
    return matrix.run_all(given.workers, given.only, given.output)


if __name__ == "__main__":
    raise SystemExit(main())

"""The options of ``quiesced rehearse``."""

from __future__ import annotations

import argparse
from pathlib import Path

from quiesced.words import _

HOLD_S = 0.5


def add(command: argparse.ArgumentParser) -> None:
    """Declare what only this command takes."""
    command.add_argument(
        "--disks", type=_disks, default=(), metavar="DISK_ID[,DISK_ID...]", help=_("default: every disk found")
    )
    command.add_argument(
        "--hold-s", type=_seconds, default=HOLD_S, help=_("how long each of the two holds lasts (%(default)s)")
    )
    command.add_argument("--output", choices=("text", "json"), default="text")
    command.add_argument("--page", type=Path, metavar="FILE", help=_("also write an HTML page"))


def _disks(text: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(","))
    if not all(found) or len(set(found)) != len(found):
        raise argparse.ArgumentTypeError(_("must be disk ids with commas between them, none twice"))
    return found


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 60:
        raise argparse.ArgumentTypeError(_("must be above 0 and at most 60"))
    return value

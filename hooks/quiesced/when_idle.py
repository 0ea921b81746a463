"""``quiesced when-idle``: run a command when nothing is held or prepared, and let nothing be held while it runs.

For whoever restarts or stops the service: between a look at ``quiesced status`` and a restart a hold could begin.
Exit status: that of the command; 1 when something was held for all of ``--wait-s``; 2 for a wrong configuration.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from quiesced import wiring
from quiesced.place import Place
from quiesced.words import _, later

WAIT_S = 60.0
LOOK_EVERY_S = 0.05


def add_options(command: argparse.ArgumentParser) -> None:
    """Declare what only this command takes."""
    command.add_argument("--wait-s", type=float, default=WAIT_S, help=_("how long to wait for that moment (%(default)s)"))
    command.add_argument("command", nargs=argparse.REMAINDER, help=_("program and arguments"))


def run(given: argparse.Namespace) -> int:
    """Wait, run and return the exit status. Raises ConfigError or OSError."""
    argv = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not argv:
        sys.stderr.write(f"quiesced: {_('name a command to run when nothing is held')}\n")
        return 2
    config = wiring.configured(given.config)[0]
    place = Place(config.state_dir)
    ends_s = time.monotonic() + given.wait_s
    while not place.take():
        if time.monotonic() >= ends_s:
            words = later("something was held for all of {wait_s:g} s (quiesced status); nothing was run")
            sys.stderr.write(f"quiesced: {_(words, wait_s=given.wait_s)}\n")
            return 1
        time.sleep(LOOK_EVERY_S)
    try:
        return subprocess.run(argv, check=False).returncode
    finally:
        place.leave()

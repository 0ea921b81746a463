"""``quiesced rehearse``. Exit status: 0 safe to enable, 1 not safe, 2 wrong usage, 4 configuration unusable."""

from __future__ import annotations

import argparse
import logging
import sys

from quiesced import wiring
from quiesced.errors import ConfigError
from quiesced.rehearsal import pages
from quiesced.rehearsal.rehearse import rehearse
from quiesced.rehearsal.stages import Asked
from quiesced.words import _, later

NOT_SAFE, UNUSABLE = 1, 4
_SPARE_S = 0.2
"""A rehearsal must be over before the owner's limit: the daemon lets go somewhat earlier than at the limit."""


def run(given: argparse.Namespace) -> int:
    """Rehearse, print what was found, and return the exit status. Raises OSError."""
    logging.basicConfig(level=logging.ERROR, format="quiesced: %(message)s")
    try:
        config, quiescers = wiring.configured(given.config)
        if given.hold_s + _SPARE_S > config.limits.hold_limit_s:
            limit_s = config.limits.hold_limit_s
            words = later("--hold-s {hold_s:g} is too near limits.hold_limit_s = {limit_s:g}; make it shorter")
            raise ConfigError((_(words, hold_s=given.hold_s, limit_s=limit_s),))
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"quiesced: {problem}\n")
        return UNUSABLE
    report = rehearse(given.config.resolve(), Asked(config, quiescers, given.disks, given.hold_s))
    sys.stdout.write(pages.json_text(report) if given.output == "json" else pages.text(report))
    if given.page:
        given.page.write_text(pages.html(report), encoding="utf-8")
    return 0 if report.safe else NOT_SAFE

"""Writes the report as one HTML file, which loads nothing and runs no script.

Every value passes Jinja2's autoescape, and nothing is marked as safe. Jinja2 is imported when a report is asked for: no
other invocation of the function is to wait for it.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from quiesce import __version__
from quiesce.html_report import charts, phrases
from quiesce.html_report.model import Content, Disk
from quiesce.words import _, language_of

if TYPE_CHECKING:
    from jinja2 import Template

MAX_DISKS, MAX_HISTORIES, MAX_TROUBLES = 3_000, 300, 200
"""What one page shows; the worst come first, what is left out is said, and ``--format json`` has everything."""
FINDINGS = ("uncovered", "late", "covered")
LEVELS = ("application", "filesystem", "crash")
OPEN_UP_TO = 25
"""Tables of more covered disks than this are folded up."""


def page(content: Content) -> str:
    """Write the page."""
    return _template().render(
        content=content,
        version=__version__,
        language=language_of(os.environ).replace("_", "-"),
        counts=Counter(disk.finding for disk in content.disks),
        standing=_standing(content.disks),
        disks_left_out=max(0, len(content.disks) - MAX_DISKS),
        timelines=[
            (one, charts.gauge(one), charts.before(one), charts.during(one), one.beyond_ms is not None)
            for one in content.timelines
        ],
        histories=[(one, charts.history(one)) for one in content.stalls[:MAX_HISTORIES]],
        histories_left_out=max(0, len(content.stalls) - MAX_HISTORIES),
        troubles=content.troubles[:MAX_TROUBLES],
        troubles_left_out=max(0, len(content.troubles) - MAX_TROUBLES),
        beyond=sum(one.beyond for one in content.stalls),
        holds=sum(one.holds for one in content.stalls),
    )


def _standing(disks: tuple[Disk, ...]) -> list[tuple[str, list[Disk]]]:
    """Put the disks that are not well first."""
    shown = sorted(disks, key=lambda disk: FINDINGS.index(disk.finding) if disk.finding in FINDINGS else -1)[:MAX_DISKS]
    return [(word, found) for word in FINDINGS if (found := [disk for disk in shown if disk.finding == word])]


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - see above

    place = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(place), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(_=_, say=phrases, levels=LEVELS, open_up_to=OPEN_UP_TO)
    return environment.get_template("template.html.j2")

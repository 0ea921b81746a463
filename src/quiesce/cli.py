"""The operator's command ``quiesce``. Where each of its commands is; exit statuses: commands/exits."""

from __future__ import annotations

import click

from quiesce import __version__
from quiesce.commands.lazy import LazyGroup

PLACES = {
    "certificate": ("quiesce.commands.certificate:certificate", "Check what snapshots were proven to be."),
    "coverage": ("quiesce.commands.estate:coverage", "Show every disk with its newest point, and what no policy covers."),
    "prune": ("quiesce.commands.estate:prune", "Delete what the policies' retention lets go."),
    "trigger": ("quiesce.commands.trigger:trigger", "Start a run of the deployed function and say what it got."),
}


@click.group(cls=LazyGroup, places=PLACES)
@click.version_option(__version__, prog_name="quiesce")
def main() -> None:
    """Application-consistent snapshots of Tencent Cloud disks, with proof."""

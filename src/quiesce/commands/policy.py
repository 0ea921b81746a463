"""``quiesce policy check``: is the policy file right, and what does each policy say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from quiesce import policies
from quiesce.commands.connection import failing_in_words, output_option
from quiesce.commands.exits import Exit
from quiesce.commands.output import document, show
from quiesce.errors import PolicyError
from quiesce.policies import Policy

COLUMNS = ("policy", "level", "targets", "disks", "hold_limit_s", "on_quiesce_failure", "retention", "objective_hours")


@click.group()
def policy() -> None:
    """The policy file."""


@policy.command()
@click.argument("file", type=click.Path(path_type=Path), default="policies.toml")
@output_option
def check(file: Path, output: str) -> None:
    """Check FILE without asking anybody: every problem in it is named at once.

    Exit status: 0 it can be used, 4 it cannot.
    """
    try:
        known = policies.load(file)
    except PolicyError as error:
        if output == "json":
            click.echo(document("policy-problems", [{"problem": problem} for problem in error.problems]))
            sys.exit(Exit.UNUSABLE)
        with failing_in_words():
            raise
    show("policies", [row_of(name, one) for name, one in known.items()], output, COLUMNS)


def row_of(name: str, one: Policy) -> dict[str, Any]:
    """Write a policy as flat fields."""
    tag = one.targets.tag
    chosen = [*one.targets.instances, *([f"{tag.key}={'|'.join(tag.values)}"] if tag else [])]
    disks = one.targets.disks
    kept = {key: getattr(one.retention, key) for key in one.retention.__struct_fields__} if one.retention else {}
    return {
        "policy": name,
        "level": one.level,
        "targets": " ".join(chosen),
        "disks": disks if isinstance(disks, str) else " ".join(disks),
        "hold_limit_s": one.hold_limit_s,
        "on_quiesce_failure": one.on_quiesce_failure.value,
        "retention": " ".join(f"{key}={count}" for key, count in kept.items() if count),
        "objective_hours": one.objective_hours,
    }

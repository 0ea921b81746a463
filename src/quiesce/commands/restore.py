"""``quiesce restore plan``: what to type to get a set back."""

from __future__ import annotations

import os
from typing import BinaryIO

import click

from quiesce.certificate import Certificate
from quiesce.certificate_check import Finding, check
from quiesce.commands.certificate import KEY_VARIABLE, read_keys
from quiesce.commands.connection import Given, connected
from quiesce.commands.output import document, progress
from quiesce.commands.sets import listed
from quiesce.restoring import BESIDE, ROLLBACK, Step, numbered, steps
from quiesce.sets import MadeSet, chosen
from quiesce.words import _


@click.group()
def restore() -> None:
    """Getting a set back."""


@restore.command()
@click.argument("run")
@click.option("--way", type=click.Choice([BESIDE, ROLLBACK]), default=BESIDE, show_default=True)
@click.option("--certificate", "file", type=click.File("rb"), default=None, help="The run's report or certificate, as JSON.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@connected
def plan(run: str, way: str, file: BinaryIO | None, output: str, given: Given) -> None:
    """Write down how to restore a RUN (its id, a snapshot's id, or "latest"), and do nothing.

    With the certificate it says what each application needs, too.
    """
    certificates = _certificates(file) if file else {}
    region = given.found.region or ""
    found = [(one, _steps(one, way, certificates.get(one.instance_id), region)) for one in chosen(listed(given), run)]
    if output == "json":
        click.echo(document("restore", [{**_head(one), "steps": [vars(step) for step in todo]} for one, todo in found]))
        return
    for one, todo in found:
        head = _("{instance_id}, run {run_id}, {level}")
        click.echo(f"{head.format(**_head(one))}\n{numbered(todo)}\n")


def _head(one: MadeSet) -> dict[str, str]:
    return {"instance_id": one.instance_id, "run_id": one.run_id, "level": one.level.word}


def _steps(one: MadeSet, way: str, certificate: Certificate | None, region: str) -> tuple[Step, ...]:
    snapshots = {member.point.disk_id: member.point.snapshot_id for member in one.members}
    return steps(region, snapshots, one.level, one.instance_id, way, certificate)


def _certificates(file: BinaryIO) -> dict[str, Certificate]:
    """Read certificates by instance. One that was altered is left out; one that cannot be checked is said to be so."""
    found = check(file.read(), read_keys(()) if os.environ.get(KEY_VARIABLE) else ())
    for one in found:
        if one.finding is not Finding.GENUINE:
            unverified = _("the certificate of {instance_id} is not verified: {finding}")
            progress(unverified.format(instance_id=one.certificate.instance_id, finding=one.finding.value))
    return {one.certificate.instance_id: one.certificate for one in found if one.finding is not Finding.ALTERED}

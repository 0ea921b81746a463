"""``quiesce certificate``: check what a run said of itself, and print the form it has."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import BinaryIO

import click

from quiesce.certificate import SigningKey
from quiesce.certificate_check import Checked, Finding, check, read_key, schema
from quiesce.commands.exits import Exit
from quiesce.errors import CertificateError
from quiesce.words import _

KEY_VARIABLE = "QUIESCE_CERTIFICATE_KEY"


@click.group()
def certificate() -> None:
    """What snapshots were proven to be."""


@certificate.command()
@click.argument("file", type=click.File("rb"), default="-")
@click.option(
    "--key",
    "key_files",
    type=click.Path(path_type=Path),
    multiple=True,
    help=f"File with <key id>:<secret>; may be given several times. Without it, {KEY_VARIABLE} is read.",
)
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def verify(file: BinaryIO, key_files: tuple[Path, ...], output: str) -> None:
    """Check that certificates were signed with a key of yours and not altered since.

    FILE holds a certificate, the report of a run, or a run record from CLS, as JSON; "-" is standard input.
    """
    try:
        found = check(file.read(), read_keys(key_files))
    except CertificateError as error:
        click.echo(_("cannot verify: {error}", error=error), err=True)
        sys.exit(Exit.UNUSABLE)
    if output == "json":
        click.echo(json.dumps([_row(one) for one in found], indent=2))
    else:
        for one in found:
            click.echo(_line(one))
    sys.exit(Exit.NOT_WELL if any(one.finding is not Finding.GENUINE for one in found) else Exit.OK)


@certificate.command(name="schema")
def print_schema() -> None:
    """Print the JSON Schema of a certificate."""
    click.echo(json.dumps(schema(), indent=2))


def read_keys(files: tuple[Path, ...]) -> list[SigningKey]:
    """Read the keys from files or from the environment, never from the command line, which others can list."""
    if not files and not os.environ.get(KEY_VARIABLE):
        raise CertificateError(
            _("no key was given: name a file with --key, or set {key_variable}", key_variable=KEY_VARIABLE)
        )
    try:
        texts = [file.read_text(encoding="utf-8") for file in files] or [os.environ[KEY_VARIABLE]]
    except (OSError, UnicodeDecodeError) as error:
        raise CertificateError(_("a key cannot be read: {error}", error=error)) from error
    return [read_key(text) for text in texts]


def _row(one: Checked) -> dict[str, object]:
    cert = one.certificate
    return {
        "finding": one.finding.value,
        "key_id": cert.key_id,
        "run_id": cert.run_id,
        "instance_id": cert.instance_id,
        "level": cert.level if one.finding is Finding.GENUINE else None,
        "snapshots": cert.snapshots,
    }


def _line(one: Checked) -> str:
    cert = one.certificate
    what = f"{cert.instance_id}, run {cert.run_id}"
    if one.finding is Finding.ALTERED:
        return f"ALTERED      {what}: the signature of key {cert.key_id} does not match; nothing in it can be trusted"
    if one.finding is Finding.UNKNOWN_KEY:
        return f"UNKNOWN KEY  {what}: signed with key {cert.key_id}, which was not given"
    ids = ", ".join(cert.snapshots.values()) or "no snapshots"
    return f"genuine      {what}: {cert.level} ({ids}), signed with key {cert.key_id}"

"""``quiesce completion``: what makes a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from quiesce.words import _


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a SHELL, for its start-up file."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(_("there is no completion for {name}", name=shell))
    root = context.find_root().command
    click.echo(kind(root, {}, "quiesce", "_QUIESCE_COMPLETE").source())

"""A group of commands whose modules are imported when one is called: ``--help`` shall not load the cloud's SDK."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click

from quiesce.words import _


class LazyGroup(click.Group):
    """Knows of each command where it is and what it does, in a line."""

    def __init__(self, *args: object, places: Mapping[str, tuple[str, str]] | None = None, **attrs: object) -> None:
        """``places``: name to ``module:attribute`` and to its line of help."""
        super().__init__(*args, **attrs)  # type: ignore[arg-type]  # click's own, passed on
        self._places = dict(places or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command."""
        return sorted({*super().list_commands(ctx), *self._places})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the one that is called."""
        if cmd_name not in self._places:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._places[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return _translated(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        rows = [(name, _(self._places[name][1])) for name in self.list_commands(ctx) if name in self._places]
        with formatter.section(_("Commands")):
            formatter.write_dl(rows)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say what the whole is for, in the caller's language."""
        self.help = _(_english(self))
        for param in self.params:
            if isinstance(param, click.Option):
                param.help = _(_english(param))
        super().format_help_text(ctx, formatter)


def _translated(command: click.Command) -> click.Command:
    """Say what a command and its options are for in the caller's language."""
    command.help = _(_english(command))
    for param in command.params:
        if isinstance(param, click.Option):
            param.help = _(_english(param)) or None
    if isinstance(command, click.Group):
        for one in command.commands.values():
            _translated(one)
    return command


def _english(thing: click.Command | click.Option) -> str:
    """Remember what it said at first: that is what translations are looked up by."""
    text: str = vars(thing).setdefault("english_help", thing.help or "")
    return text

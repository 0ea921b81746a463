"""Tables for people and JSON for programs: the same rows in both."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

VERSION = 1
"""Of the JSON that commands print: a key that is taken away, or that means something else, makes a new one."""


def show(kind: str, rows: Sequence[Mapping[str, Any]], output: str, columns: Iterable[str]) -> None:
    """Print rows: as ``{"version", "kind", "items"}``, or as a table of these columns."""
    if output == "json":
        click.echo(document(kind, rows))
    else:
        table(rows, tuple(columns))


def document(kind: str, items: Sequence[Mapping[str, Any]]) -> str:
    """Write rows as JSON (docs/schemas has the schema of each kind)."""
    return json.dumps({"version": VERSION, "kind": kind, "items": list(items)}, indent=2, ensure_ascii=False)


def table(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Print a table; on a terminal by rich, which knows how wide Chinese is, and plain for ``cut`` and ``grep``."""
    cells = [["" if row.get(name) is None else str(row.get(name)) for name in names] for row in rows]
    if sys.stdout.isatty():
        _rich(names, cells)
        return
    lines = [list(names), *cells]
    widths = [max(len(line[place]) for line in lines) for place in range(len(names))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _rich(names: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only a person at a terminal waits for it
    from rich.table import Table  # noqa: PLC0415 - as above

    drawn = Table(*names, box=None, pad_edge=False, header_style="bold")
    for line in cells:
        drawn.add_row(*line)
    Console().print(drawn)


def progress(text: str) -> None:
    """Say on standard error how far something is; standard output is for what was asked for."""
    click.echo(text, err=True)

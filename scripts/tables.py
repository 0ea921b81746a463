"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Make the lines of a table, and an empty one behind it."""
    lines = [_row(heads), "|" + "---|" * len(heads)]
    return [*lines, *(_row(row) for row in rows), ""]


def page(title: str, about: str, lines: Iterable[str]) -> str:
    """Make a page that says where it comes from."""
    made = "<!-- Made by `python -m scripts.reference`; what it says is written in the code. -->"
    return "\n".join([f"# {title}", "", made, "", about, "", *lines]).rstrip() + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

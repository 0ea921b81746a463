"""Keeps the catalogs of both programs: finds every text that a person reads, and compiles what was translated (gettext).

    python -m scripts.languages            brings the .po files up to date, keeping what is translated, and compiles them
    python -m scripts.languages --missing  prints what is not translated

Texts are the arguments of ``_(...)`` and ``later(...)`` in the code and in templates, and what click shows of the command.
"""

from __future__ import annotations

import ast
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import click
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from quiesce import words as said_by_quiesce
from quiesce.cli import PLACES, main
from quiesce.words import LANGUAGES
from quiesced import words as said_by_quiesced

NO_DATE = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""The same texts shall give the same file."""
_IN_TEMPLATES = re.compile(r"""_\(\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*\)""")


@dataclass(frozen=True)
class Program:
    """One of the two, with catalogs of its own."""

    name: str
    source: Path
    say: Callable[[str, str], str]
    """What a text is in a language."""
    more: Callable[[], Iterator[str]] = lambda: iter(())
    """Texts that are no arguments."""

    def texts(self) -> list[str]:
        """Find every text, in order and once."""
        os.environ["QUIESCE_LANGUAGE"] = "en"
        found = [*_called(self.source), *_in_templates(self.source), *self.more()]
        return list(dict.fromkeys(text for text in found if text))

    def catalog_of(self, language: str) -> Catalog:
        """Read what is translated, and nothing that is no longer said."""
        path = self.po_of(language)
        known = read_po(io.BytesIO(path.read_bytes()), locale=language) if path.exists() else Catalog(locale=language)
        fresh = Catalog(locale=language, project=self.name, fuzzy=False)
        for text in self.texts():
            message = known.get(text)
            fresh.add(text, message.string if message is not None else "")
        return fresh

    def po_of(self, language: str) -> Path:
        """Where a language's texts are."""
        return self.source / "locale" / language / "LC_MESSAGES" / f"{self.name}.po"

    def missing(self, language: str) -> list[str]:
        """Name every text that has no translation."""
        return [str(message.id) for message in self.catalog_of(language) if message.id and not message.string]


def po_text(catalog: Catalog) -> bytes:
    """Write a catalog without dates, so that the same texts give the same file."""
    content = io.BytesIO()
    write_po(content, catalog, omit_header=True, width=120)
    return b'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n\n' + content.getvalue()


def mo_bytes(catalog: Catalog) -> bytes:
    """Compile a catalog."""
    content = io.BytesIO()
    compiled = read_po(io.BytesIO(po_text(catalog)), locale=str(catalog.locale))
    compiled.creation_date = compiled.revision_date = NO_DATE
    write_mo(content, compiled)
    return content.getvalue()


def _called(source: Path) -> Iterator[str]:
    for path in sorted(source.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "later"):
                yield from (one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str))


def _in_templates(source: Path) -> Iterator[str]:
    for path in sorted(source.rglob("*.j2")):
        yield from (ast.literal_eval(found) for found in _IN_TEMPLATES.findall(path.read_text()))


def _helps() -> Iterator[str]:
    yield from (line for _, line in PLACES.values())
    yield from _helps_of(main)


def _helps_of(command: click.Command) -> Iterator[str]:
    yield command.help or ""
    yield from (param.help or "" for param in command.params if isinstance(param, click.Option))
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from _helps_of(command.get_command(context, name) or command)


PROGRAMS = (
    Program("quiesce", Path(said_by_quiesce.__file__).parent, said_by_quiesce.words, _helps),
    Program("quiesced", Path(said_by_quiesced.__file__).parent, said_by_quiesced.words),
)


def bring_up_to_date() -> None:
    """Write the files of every language."""
    for program in PROGRAMS:
        for language in LANGUAGES[1:]:
            catalog, path = program.catalog_of(language), program.po_of(language)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(po_text(catalog))
            path.with_suffix(".mo").write_bytes(mo_bytes(catalog))


if __name__ == "__main__":
    if "--missing" in sys.argv:
        for program in PROGRAMS:
            for language in LANGUAGES[1:]:
                for text in program.missing(language):
                    print(f"{program.name} {language}: {text!r}")
    else:
        bring_up_to_date()

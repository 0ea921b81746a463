"""docs/reference/agent-file.md: every key of the daemon's TOML file."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from scripts.code_reading import Reading, attribute_docs, meaning_of, readings
from scripts.tables import page, table

from quiesced import config, tables
from quiesced.quiescers import sqlite
from quiesced.quiescers.mysql import session as mysql_session
from quiesced.quiescers.postgres import session as postgres_session
from quiesced.quiescers.redis import session as redis_session
from quiesced.quiescers.script import files as script_files

KINDS = (
    "text",
    "one_of",
    "path",
    "optional_path",
    "secret",
    "paths",
    "texts",
    "seconds",
    "whole",
    "optional_whole",
    "share",
    "flag",
)
ENGINES = {
    "mysql": mysql_session,
    "postgres": postgres_session,
    "redis": redis_session,
    "sqlite": sqlite,
    "script": script_files,
}
"""Each engine of quiescers/registry, and the module that reads its keys."""
ABOUT = (
    "The daemon's file is `/etc/quiesced/quiesced.toml` unless `--config` names another; `hooks/quiesced.example.toml` is "
    "an example with comments and grants. It is refused as a whole when anything in it is wrong, and `quiesced check` names "
    "all of it. It, its keys and its certificates must be writable by root or the daemon's user alone."
)
_PLACES = {
    "Config": "At the top",
    "Listen": "`[listen]`",
    "AllowedLimits": "`[limits]`",
    "ApplicationConfig": "`[[application]]`",
}


def kinds_of_the_reader() -> set[str]:
    """Name every method by which a table is read."""
    methods = {name for name, _ in inspect.getmembers(tables.Table, inspect.isfunction) if not name.startswith("_")}
    return methods - {"problem", "names", "table", "tables", "rest", "close"}


def document() -> str:
    """Write the page."""
    found = readings(config, KINDS)
    lines: list[str] = []
    for owner in ("Config", "Listen"):
        lines += _section(f"## {_PLACES[owner]}", config, [one for one in found if one.owner == owner])
    docs = attribute_docs(config)
    lines += ["## `[keys]`", "", meaning_of(docs, "Config", "keys"), ""]
    for owner in ("AllowedLimits", "ApplicationConfig"):
        lines += _section(f"## {_PLACES[owner]}", config, [one for one in found if one.owner == owner])
    for engine, module in ENGINES.items():
        own = [one for one in readings(module, KINDS) if one.owner == "Options"]
        lines += _section(f'### `engine = "{engine}"`', module, own)
    return page("The daemon's file", ABOUT, lines)


def _section(title: str, module: ModuleType, found: Iterable[Reading]) -> list[str]:
    docs = attribute_docs(module)
    rows = [
        (f"`{one.name}`", meaning_of(docs, one.owner, one.attribute), _type(one), _default(one, module)) for one in found
    ]
    return [title, "", *table(("Key", "Meaning", "Type and limits", "Default"), rows)]


_TYPES = {
    "text": "text",
    "path": "absolute path",
    "optional_path": "absolute path",
    "secret": "absolute path of a file",
    "paths": "list of absolute paths",
    "texts": "list of texts",
    "share": "a share above 0 and at most 1",
    "flag": "true or false",
}


def _type(one: Reading) -> str:
    if one.name == "engine":
        return ", ".join(f"`{engine}`" for engine in ENGINES)
    if one.kind == "seconds":
        return f"seconds above 0 and at most {one.options.get('at_most', 3600.0):g}"
    if one.kind in ("whole", "optional_whole"):
        return f"a whole number from {one.values[0]:,} to {one.values[1]:,}"
    if one.kind == "one_of":
        return ", ".join(f"`{word}`" for word in one.values[0])
    return _TYPES[one.kind]


def _default(one: Reading, module: ModuleType) -> str:
    place = {"whole": 2, "one_of": 1}.get(one.kind, 0)
    if one.kind in ("optional_path", "secret", "optional_whole", "paths", "texts") or _is_optional(one, module):
        return "unset"
    if len(one.values) <= place:
        return "needed"
    value: Any = one.values[place]
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _is_optional(one: Reading, module: ModuleType) -> bool:
    """Whether the attribute may be None, whatever reads it."""
    fields = dataclasses.fields(getattr(module, one.owner))
    return any(field.name == one.attribute and str(field.type).startswith("Optional") for field in fields)

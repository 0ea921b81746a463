"""docs/reference/policy.md: every key of the policy file."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import inspect
from scripts.code_reading import attribute_docs, first_paragraph, meaning_of, words_of
from scripts.tables import page, table

from quiesce import policies

PLACES: Mapping[type[policies.Table], str] = {
    policies.Policy: "[policies.NAME]",
    policies.Targets: "[policies.NAME.targets]",
    policies.TagSelector: "[policies.NAME.targets.tag]",
    policies.Retention: "[policies.NAME.retention]",
    policies.Copy: "[policies.NAME.copy]",
    policies.Share: "[policies.NAME.share]",
    policies.EventFilter: "[[policies.NAME.events]]",
}
"""Each table of the file, and where it stands."""
ABOUT = (
    "The policy file is TOML (`src/policies.toml` is an example with comments). NAME is at most 40 of a-z 0-9 _ - and "
    "begins with a letter or digit. Everything that is wrong in the file is named at once, and nothing is touched then."
)


def document() -> str:
    """Write the page."""
    lines: list[str] = []
    for kind, place in PLACES.items():
        lines += [f"## `{place}`", "", first_paragraph(kind), "", *_keys(kind)]
    for word in _enumerations():
        rows = [(f"`{name}`", meaning) for name, meaning in words_of(word).items()]
        lines += [f"## Words: {word.__name__}", "", first_paragraph(word), "", *table(("Word", "Meaning"), rows)]
    return page("Policies", ABOUT, lines)


def _fields(kind: type[policies.Table]) -> tuple[inspect.Field, ...]:
    found: Any = inspect.type_info(kind)
    fields: tuple[inspect.Field, ...] = found.fields
    return fields


def _keys(kind: type[policies.Table]) -> list[str]:
    docs = attribute_docs(policies)
    rows = [
        (f"`{one.name}`", meaning_of(docs, kind.__name__, one.name), _type(one.type), _default(one)) for one in _fields(kind)
    ]
    return table(("Key", "Meaning", "Type and limits", "Default"), rows)


def _enumerations() -> Iterator[type[enum.Enum]]:
    for one in _fields(policies.Policy):
        if isinstance(one.type, inspect.EnumType):
            yield one.type.cls


def _default(one: inspect.Field) -> str:
    if one.required:
        return "needed"
    value = one.default if one.default is not msgspec.NODEFAULT else None
    if value in (None, ()) or isinstance(value, dict):
        return "unset"
    plain = value.value if isinstance(value, enum.Enum) else value
    return f"`{msgspec.json.encode(plain).decode()}`"


def _type(kind: inspect.Type) -> str:
    for known, words in _WORDS.items():
        if isinstance(kind, known):
            return words(kind)
    raise AssertionError(f"a type that no sentence describes: {kind!r}")


def _list(kind: inspect.VarTupleType) -> str:
    count = f", {kind.min_length} to {kind.max_length}" if kind.max_length else ""
    return f"a list of: {_type(kind.item_type)}{count}"


def _either(kind: inspect.UnionType) -> str:
    return ", or ".join(_type(one) for one in kind.types if not isinstance(one, inspect.NoneType))


def _number(kind: inspect.IntType | inspect.FloatType) -> str:
    word = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
    low = f"from {kind.ge:,}" if kind.ge is not None else f"above {kind.gt:,}"
    return f"{word} {low} to {kind.le:,}"


def _text(kind: inspect.StrType) -> str:
    if kind.pattern:
        return f"text like `{kind.pattern.removeprefix('^').removesuffix(chr(92) + 'Z')}`"
    return f"text of {kind.min_length} to {kind.max_length} characters" if kind.max_length else "text"


_WORDS: Mapping[type[inspect.Type], Callable[[Any], str]] = {
    inspect.IntType: _number,
    inspect.FloatType: _number,
    inspect.StrType: _text,
    inspect.BoolType: lambda _: "true or false",
    inspect.LiteralType: lambda kind: ", ".join(f"`{value}`" for value in kind.values),
    inspect.EnumType: lambda kind: ", ".join(f"`{member.value}`" for member in kind.cls),
    inspect.VarTupleType: _list,
    inspect.DictType: lambda _: "a table of texts",
    inspect.StructType: lambda kind: f"a table: `{PLACES[kind.cls]}`",
    inspect.UnionType: _either,
}

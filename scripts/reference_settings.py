"""docs/reference/settings.md: every environment variable of the function and of the command."""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.code_reading import Reading, attribute_docs, constants_read, meaning_of, readings, words_of
from scripts.tables import page, table

from quiesce import credentials, settings, variables, words

COMMANDS = Path(__file__).resolve().parent.parent / "src" / "quiesce" / "commands"
KINDS = tuple(name for name, member in inspect.getmembers(variables.Reader, inspect.isfunction) if not name.startswith("_"))
PROFILE = "TCCLI_PROFILE"
OF_THE_COMMAND: Mapping[str, str] = {
    "QUIESCE_URL": "The function's URL, for `quiesce trigger`.",
    words.VARIABLES[0]: f"Language of the command, and of messages that the function sends: {', '.join(words.LANGUAGES)}. "
    f"Unset: {', '.join(words.VARIABLES[1:])}, and English.",
    PROFILE: f"The profile of tccli whose key is used. Unset: `{credentials.DEFAULT_PROFILE}`.",
    **{
        name: f"The region, where the environment has none of {', '.join(credentials.REGIONS[:2])}."
        for name in credentials.REGIONS[2:]
    },
    **{
        name: f"Part of a key, by the name that it has for {dialect}; SCF's names come first."
        for dialect, *names in credentials.DIALECTS[1:]
        for name in names
    },
}
"""Variables that are not among the function's settings."""


def function_variables() -> Mapping[str, Reading]:
    """Find every variable that the function reads."""
    return {one.name: one for one in readings(settings, KINDS)}


def command_variables() -> Mapping[str, list[str]]:
    """Find every variable that the command's modules read themselves, with the modules that do."""
    keys = [name for _, *names in credentials.DIALECTS for name in names]
    found: dict[str, list[str]] = {name: ["credentials"] for name in (*keys, *credentials.REGIONS, PROFILE)}
    found[words.VARIABLES[0]] = ["words"]
    for path in sorted(COMMANDS.glob("*.py")):
        module = importlib.import_module(f"quiesce.commands.{path.stem}")
        for name in sorted(set(constants_read(ast.parse(path.read_text()), vars(module)))):
            found.setdefault(name, []).append(path.stem)
    return found


def cloud_commands() -> list[str]:
    """Name the modules of the command that ask the cloud by its settings."""
    return [path.stem for path in sorted(COMMANDS.glob("*.py")) if "cloud_from_env(" in path.read_text()]


def document() -> str:
    """Write the page."""
    docs = attribute_docs(settings)
    found = function_variables()
    rows = [
        (
            f"`{name}`",
            meaning_of(docs, one.owner, one.attribute),
            _default(one),
            _limits(one),
            "yes" if _is_secret(one) else "",
        )
        for name, one in sorted(found.items())
    ]
    lines = table(("Variable", "Meaning", "Default", "Value", "Secret"), rows)
    for name, one in sorted(found.items()):
        known = _enumeration(one)
        if known:
            lines += [f"## Words of {name}", "", *table(("Word", "Meaning"), [(f"`{k}`", v) for k, v in known.items()])]
    return page("Settings", ABOUT, [*lines, *_commands(found)])


ABOUT = (
    "Environment variables of the function, read at every invocation. All that is wrong is named at once, and nothing is "
    "touched then. SCF takes less than 4 KB of them together. Nothing of a secret is logged."
)


def _commands(found: Mapping[str, Reading]) -> Iterator[str]:
    yield from ("## Of the command", "")
    cloud = sorted(name for name, one in found.items() if one.owner in ("CloudSettings", "Credentials"))
    yield f"Commands that ask the cloud ({_modules(cloud_commands())}) also read {_modules(cloud)}."
    yield ""
    rows = []
    for name, modules in sorted(command_variables().items()):
        meaning = OF_THE_COMMAND.get(name) or ("As the function has it." if name in found else "")
        rows.append((f"`{name}`", _modules(modules), meaning))
    yield from table(("Variable", "Read in", "Meaning"), rows)


def _modules(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _is_secret(one: Reading) -> bool:
    if one.kind in ("key", "secret"):
        return True
    return one.attribute in getattr(getattr(settings, one.owner), "HIDDEN", ())


def _enumeration(one: Reading) -> Mapping[str, str]:
    listed = next((value for value in one.values if isinstance(value, list)), None)
    for kind in vars(settings).values():
        if isinstance(kind, type) and issubclass(kind, enum.Enum) and listed == [member.value for member in kind]:
            return words_of(kind)
    return {}


def _default(one: Reading) -> str:
    if one.kind in ("text", "key") or (one.kind == "file" and "default" not in one.options):
        return "needed"
    if one.kind == "one_of":
        return f"`{one.values[0][0]}`"
    default: Any = one.options.get("default", one.values[0] if one.kind in ("number", "several") and one.values else None)
    return "unset" if default in (None, "") else f"`{default}`"


_SAID = {
    "file": "path of a file, from the code's folder",
    "optional_file": "path of a file, from the code's folder",
    "key": f"`<key id>:<secret>`, the secret of at least {variables.MIN_SECRET} characters",
    "secret": f"at least {variables.MIN_SECRET} characters",
    "whole": "a whole number from 0 to 10,000,000",
}


def _limits(one: Reading) -> str:
    if one.kind == "number":
        kind = "a whole number" if one.options.get("whole") else "a number"
        return f"{kind} from {one.options['low']:g} to {one.options['high']:g}"
    if one.kind in ("one_of", "several"):
        listed = next((value for value in one.values if isinstance(value, list)), [])
        return ", ".join(f"`{word}`" for word in listed) or "addresses"
    if one.kind in ("text", "optional"):
        return "" if len(one.values) < 2 else str(one.values[0])
    return _SAID[one.kind]

"""What scripts say, read strictly: one JSON object with every field that is asked for and no other (docs/scripts.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from quiesced import strict_json
from quiesced.tables import Table

_WITNESS = ("session", "position", "lock_shown", "lock_evidence", "durable", "durable_evidence")


@dataclass(frozen=True)
class Promise:
    """What ``check`` said of a script that will stay and witness: (role, absolute path) pairs that it holds."""

    version: str
    paths: tuple[tuple[str, str], ...]
    scratch: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Shown:
    """What a script observed of its hold, as in hooks/PROTOCOL.md, Witness."""

    session: str
    position: dict[str, str]
    lock_shown: bool
    lock_evidence: str
    durable: bool
    durable_evidence: str


def read_promise(output: str) -> Optional[Promise]:
    """Read what ``check`` printed; None when it is no JSON object, and so no promise. Raises ValueError."""
    if not output.lstrip().startswith("{"):
        return None
    table, problems = _table(output, ("paths",))
    version = table.text("version", "-")
    promise = Promise("" if version == "-" else version, _paths(table, "paths"), _paths(table, "scratch"))
    _close(table, problems)
    if not promise.paths:
        raise ValueError("paths: must name at least one path that the application writes")
    return promise


def read_witness(line: str) -> Shown:
    """Read the line that a script says to ``quiesce`` and ``witness``. Raises ValueError."""
    table, problems = _table(line, _WITNESS)
    shown = Shown(
        session=table.text("session"),
        position=_position(table.table("position")),
        lock_shown=table.flag("lock_shown", False),
        lock_evidence=table.text("lock_evidence"),
        durable=table.flag("durable", False),
        durable_evidence=table.text("durable_evidence"),
    )
    _close(table, problems)
    return shown


def _table(text: str, required: tuple[str, ...]) -> tuple[Table, list[str]]:
    try:
        content = strict_json.loads(text)
    except ValueError as error:
        raise ValueError(f"not one JSON object: {error}"[:200]) from error
    problems: list[str] = []
    table = Table(content, "", problems)
    problems += [f"{name}: is missing" for name in required if name not in table.names()]
    if problems:
        raise ValueError("; ".join(problems))
    return table, problems


def _close(table: Table, problems: list[str]) -> None:
    for name in table.names():
        table.problem(name[:64], "is not a field of this message")
    if problems:
        raise ValueError("; ".join(problems))


def _paths(table: Table, key: str) -> tuple[tuple[str, str], ...]:
    found = []
    for row in table.tables(key):
        found.append((row.text("role"), str(row.path("path"))))
        for name in row.names():
            row.problem(name[:64], "is not a field of a path")
    return tuple(found)


def _position(table: Table) -> dict[str, str]:
    return {name: table.text(name) for name in table.names()}

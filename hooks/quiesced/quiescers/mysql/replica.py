"""Replication into a server: which channels there are, and standing their SQL threads still and up again.

Stopped before the lock, never under it: STOP waits for the transaction that is being applied, and that would wait for us.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quiesced.quiescers.mysql.session import LOST, Flavor, Session

_RENAMED = (8, 0, 22)
"""Since then MySQL says REPLICA where it said SLAVE (manual, SHOW REPLICA STATUS)."""

_MAY_NOT = 1227
"""ER_SPECIFIC_ACCESS_DENIED_ERROR."""


@dataclass(frozen=True)
class Channel:
    """One source that the server replicates from; the unnamed one has the name "". ``position`` is what was applied."""

    name: str
    sql_running: bool
    position: str

    @property
    def words(self) -> str:
        """The channel in words."""
        return f"channel {self.name!r}" if self.name else "its one channel"


def channels(control: Session, flavor: Flavor) -> tuple[Channel, ...]:
    """List every channel; none when the server does not replicate, or this user may not see. Raises what LOST names."""
    try:
        rows = control.columns("SHOW ALL SLAVES STATUS" if flavor.mariadb else f"SHOW {_word(flavor)} STATUS")
    except LOST as error:
        if error.args[:1] == (_MAY_NOT,):
            return ()
        raise
    return tuple(_channel(row) for row in rows)


def _channel(row: dict[str, str]) -> Channel:
    name = row.get("Connection_name", row.get("Channel_Name", ""))
    running = row.get("Slave_SQL_Running", row.get("Replica_SQL_Running", ""))
    file = row.get("Relay_Master_Log_File", row.get("Relay_Source_Log_File", ""))
    offset = row.get("Exec_Master_Log_Pos", row.get("Exec_Source_Log_Pos", ""))
    return Channel(name, running == "Yes", f"{file}:{offset}")


def stop(control: Session, flavor: Flavor, names: Sequence[str]) -> None:
    """Stop the SQL threads of these channels, after what they are applying. Raises what LOST names."""
    for name in names:
        control.run(_statement("STOP", flavor, name))


def start(control: Session, flavor: Flavor, names: Sequence[str]) -> None:
    """Start the SQL threads of these channels; one that runs already is no error. Raises what LOST names."""
    for name in names:
        control.run(_statement("START", flavor, name))


def _statement(verb: str, flavor: Flavor, name: str) -> str:
    if flavor.mariadb:
        return f"{verb} SLAVE {_quoted(name)} SQL_THREAD"
    return f"{verb} {_word(flavor)} SQL_THREAD FOR CHANNEL {_quoted(name)}"


def _word(flavor: Flavor) -> str:
    return "REPLICA" if flavor.number >= _RENAMED else "SLAVE"


def _quoted(name: str) -> str:
    """Quote a channel's name; a quote within it is doubled, a backslash as well."""
    return "'" + name.replace("\\", "\\\\").replace("'", "''") + "'"

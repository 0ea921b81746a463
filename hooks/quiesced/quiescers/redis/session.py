"""Connections to a Redis server over its unix socket, with every wait bounded; Valkey speaks the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import redis
from redis.backoff import NoBackoff
from redis.connection import UnixDomainSocketConnection
from redis.retry import Retry

from quiesced.quiescers.reach import Reach
from quiesced.tables import Table

COMMAND_TIMEOUT_S = 5.0
"""Longest that a command which waits for nothing may take, before the connection counts as lost."""
PROBE = ("PFCOUNT", "quiesced:probe")
"""A read that a write pause holds back all the same (redis.io, CLIENT PAUSE): PFCOUNT may write to its key's cache."""
_PAUSED = "b"
"""Flag of a client that the server keeps waiting (redis.io, CLIENT LIST)."""
_NEVER_AGAIN = Retry(NoBackoff(), 0)
_CONNECTION: Any = UnixDomainSocketConnection

LOST = (redis.exceptions.RedisError, OSError)
"""What the driver raises when a command fails or the server is gone."""


@dataclass(frozen=True)
class Options:
    """The keys of an ``[[application]]`` table with engine "redis"; the limit in seconds."""

    socket: Path
    """The server's unix socket."""
    user: Optional[str]
    """The ACL user; without it the default user."""
    password: Optional[str] = field(repr=False)
    """Its password, alone in a file that nobody else may read."""
    bgsave_limit_s: float = 60.0
    """Where appendonly is off: the longest that a dump before the hold may take."""


def read_options(content: dict[str, object], path: str) -> tuple[Options, tuple[str, ...]]:
    """Read the options of one application, and every problem with them."""
    problems: list[str] = []
    table = Table(content, path, problems)
    options = Options(
        socket=table.path("socket"),
        user=table.text("user") if "user" in table.names() else None,
        password=table.secret("password_file"),
        bgsave_limit_s=table.seconds("bgsave_limit_s", 60.0),
    )
    table.close()
    return options, tuple(problems)


class Session:
    """One connection for questions and orders. Methods raise what LOST names; nothing is sent twice."""

    def __init__(self, options: Options) -> None:
        """Connect, and be answered."""
        self._client: Any = redis.Redis(
            unix_socket_path=str(options.socket),
            username=options.user,
            password=options.password,
            socket_timeout=COMMAND_TIMEOUT_S,
            socket_connect_timeout=COMMAND_TIMEOUT_S,
            decode_responses=True,
            retry=_NEVER_AGAIN,
            single_connection_client=True,
        )
        self._client.ping()

    def info(self, section: str) -> dict[str, Any]:
        """Return one section of INFO."""
        return dict(self._client.info(section))

    def config(self, *names: str) -> dict[str, str]:
        """Return settings; one that this version does not know is left out."""
        return {name: value for key in names for name, value in self._client.config_get(key).items()}

    def pause(self, limit_s: float) -> None:
        """Hold every write back, until ``unpause`` or for so many seconds."""
        self._client.execute_command("CLIENT PAUSE", int(limit_s * 1000), "WRITE")

    def unpause(self) -> None:
        """Let writes go on; not being paused is no error."""
        self._client.execute_command("CLIENT UNPAUSE")

    def keeps_waiting(self, client_id: int) -> bool:
        """Whether the server says that it keeps this client waiting."""
        return any(_PAUSED in str(client.get("flags", "")) for client in self._client.client_list(client_id=[client_id]))

    def save(self) -> None:
        """Begin to write a dump in the background."""
        self._client.bgsave()

    def close(self) -> None:
        """Close; any number of times."""
        self._client.close()


class Probe:
    """A client that sends one harmless command and sees whether it is answered. Methods raise what LOST names."""

    def __init__(self, options: Options) -> None:
        """Connect."""
        self._connection: Any = _CONNECTION(
            path=str(options.socket),
            username=options.user,
            password=options.password,
            socket_timeout=COMMAND_TIMEOUT_S,
            decode_responses=True,
            retry=_NEVER_AGAIN,
        )
        self._connection.connect()
        self._connection.send_command("CLIENT", "ID")
        self.id = int(self._connection.read_response())

    def ask(self) -> None:
        """Send the command."""
        self._connection.send_command(*PROBE)

    def answered(self) -> bool:
        """Whether anything has come back since; a connection that was closed counts as that."""
        return bool(self._connection.can_read(0))

    def answer(self) -> None:
        """Take the answer, waiting for it as long as for any command."""
        self._connection.read_response()

    def close(self) -> None:
        """Close; any number of times."""
        self._connection.disconnect()


answering = Reach(LOST, str).answering


def connect(options: Options, name: str) -> Session:
    """Connect, or raise Refused(application_unreachable)."""
    with answering(name):
        return Session(options)

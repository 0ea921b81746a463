import socket
from typing import Any

class Connection:
    _usock: socket.socket | None
    def __init__(
        self,
        user: str,
        *,
        database: str | None = None,
        password: str | None = None,
        unix_sock: str | None = None,
        ssl_context: bool = ...,
        timeout: float | None = None,
        application_name: str | None = None,
        startup_params: dict[str, str] | None = None,
    ) -> None: ...
    def run(self, sql: str, **params: object) -> list[list[Any]] | None: ...
    def close(self) -> None: ...

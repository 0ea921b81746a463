"""A unix socket through which other processes set faults and settings and read the record.

One JSON object in, one JSON object out, each on a line: ``{"do": "faults.set", "with": {...}}`` is answered by
``{"ok": true, "result": ...}`` or ``{"ok": false, "error": "..."}``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from quiesce_lab.cloud.faults import Fault
from quiesce_lab.cloud.server import Cloud
from quiesce_lab.errors import LabError

_MAX_LINE = 1024 * 1024


class Control:
    """Serves one cloud's control socket, readable by its owner alone."""

    def __init__(self, cloud: Cloud, path: Path) -> None:
        self._path = path
        self._deeds = _deeds(cloud)
        control = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(control.answer(self.rfile.readline(_MAX_LINE)) + b"\n")

        self._server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
        path.chmod(0o600)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> None:
        """Answer, in threads of this process."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and remove the socket."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def answer(self, line: bytes) -> bytes:
        """Do what one line asks for."""
        try:
            asked = msgspec.json.decode(line, type=_Asked)
            if asked.do not in self._deeds:
                raise LabError(f"cannot do {asked.do!r}; there are {', '.join(sorted(self._deeds))}")
            answer = {"ok": True, "result": self._deeds[asked.do](asked.with_)}
        except (LabError, msgspec.DecodeError) as error:
            answer = {"ok": False, "error": str(error)}
        return json.dumps(answer).encode()


def ask(path: Path, do: str, values: Mapping[str, Any] | None = None, *, timeout_s: float = 10.0) -> Any:
    """Ask the cloud behind a control socket. Raises LabError when it refuses or is not there."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(path))
            connection.sendall(json.dumps({"do": do, "with": dict(values or {})}).encode() + b"\n")
            with connection.makefile("rb") as reader:
                answer = json.loads(reader.readline())
    except (OSError, ValueError) as error:
        raise LabError(f"no cloud answers at {path}: {error}; is the lab running?") from error
    if not answer["ok"]:
        raise LabError(answer["error"])
    return answer["result"]


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    do: str
    with_: dict[str, Any] = msgspec.field(default_factory=dict, name="with")


class _FaultAsked(msgspec.Struct, forbid_unknown_fields=True):
    action: str
    fault: dict[str, Any]
    times: int | None = 1
    match: dict[str, Any] = msgspec.field(default_factory=dict)


def _deeds(cloud: Cloud) -> dict[str, Callable[[dict[str, Any]], Any]]:
    return {
        "faults.set": lambda values: _set_fault(cloud, values),
        "faults.list": lambda _: [dataclasses.asdict(planned) for planned in cloud.faults.planned],
        "faults.clear": lambda _: cloud.faults.clear(),
        "record.list": lambda _: [dataclasses.asdict(call) for call in cloud.record.calls],
        "record.clear": lambda _: cloud.record.clear(),
        "settings.get": lambda _: dataclasses.asdict(cloud.settings),
        "settings.set": cloud.settings.change,
    }


def _set_fault(cloud: Cloud, values: dict[str, Any]) -> None:
    try:
        asked = msgspec.convert(values, _FaultAsked)
        unknown = asked.fault.keys() - {field.name for field in dataclasses.fields(Fault)}
        if unknown:
            raise LabError(f"a fault has no {', '.join(sorted(unknown))}")
        fault = msgspec.convert(asked.fault, Fault)
    except msgspec.ValidationError as error:
        raise LabError(f"wrong fault: {error}") from error
    cloud.faults.set(asked.action, fault, asked.times, asked.match)

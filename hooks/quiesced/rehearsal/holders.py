"""Who holds in a rehearsal: the running service over its own port, or a process of ours with the same keeper."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
from pathlib import Path
from typing import Any, Protocol

from quiesced.caller import DaemonSilentError, ask
from quiesced.config import Config
from quiesced.rehearsal.processes import start
from quiesced.words import _, later

ANSWER_LIMIT_S = 60.0
"""Longer than any limit of a preparation and a hold together is not waited for; the guardian has let go by then."""
LEAVING_LIMIT_S = 5.0

Message = dict[str, object]


class Holder(Protocol):
    """Answers ``check``, ``quiesce`` and ``release`` of hooks/PROTOCOL.md."""

    through: str
    """Who it is, in words."""

    def ask(self, path: str, message: Message) -> dict[str, Any]:
        """Send one message and return the answer. Raises DaemonSilentError."""


class ServiceHolder:
    """The service as it runs, with its own user and its own rights."""

    def __init__(self, config: Config) -> None:
        self.through = later("the running service, over its own port")
        self._config = config

    def ask(self, path: str, message: Message) -> dict[str, Any]:
        """See Holder."""
        return ask(self._config, "POST", path, message)


class ChildHolder:
    """A daemon's keeper in a process that can be killed."""

    def __init__(self, config_path: Path, state_dir: Path) -> None:
        """Start it. Raises OSError."""
        self.through = later("a process of this command, as root")
        self._process = start("quiesced.rehearsal.child", [config_path, state_dir], drivers=True)

    def ask(self, path: str, message: Message) -> dict[str, Any]:
        """See Holder."""
        try:
            self._process.input.write(f"{path} {json.dumps(message)}\n")
            self._process.input.flush()
            readable = select.select([self._process.output], [], [], ANSWER_LIMIT_S)[0]
            answer: dict[str, Any] = json.loads(self._process.output.readline() if readable else "")
        except (OSError, ValueError) as error:
            raise DaemonSilentError(_("the rehearsal's own daemon gave no answer to {path}", path=path)) from error
        return answer

    def kill(self) -> None:
        """Kill it as the OOM killer would, and do not wait."""
        self._process.popen.kill()

    def close(self) -> None:
        """End it in order, so that it lets go; kill it when it does not. Any number of times."""
        with contextlib.suppress(OSError):  # it is dead already
            self._process.input.close()
        try:
            self._process.popen.wait(LEAVING_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.popen.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):  # it waits in the kernel; the guardian is at work
                self._process.popen.wait(LEAVING_LIMIT_S)
        self._process.output.close()

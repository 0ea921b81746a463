"""The daemon's side of the guardian: start it, bring its deadline forward, disarm it, notice when it is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Protocol

from quiesced.errors import Refused
from quiesced.tally import GUARDIAN_FIRED

ARMING_LIMIT_S = 5.0
"""Starting a Python takes 20-50 ms on an idle machine; nothing is held while it starts."""
LEAVING_LIMIT_S = 1.0


@dataclass(frozen=True)
class Guarded:
    """What a guardian is given. ``knob`` is a descriptor of the kernel setting to put back to 0, or -1."""

    mounts: tuple[int, ...]
    connections: tuple[int, ...]
    knob: int


class Guardian(Protocol):
    """A guardian that is armed."""

    def bring_forward(self, deadline_s: float) -> None:
        """Move the deadline to this reading of the monotonic clock, if that is sooner."""

    def lost(self) -> str:
        """Say why the guardian no longer guards; empty while it does."""

    def disarm(self) -> None:
        """End it; it touches nothing. Any number of times."""


StartGuardian = Callable[[Guarded, float, Callable[[], None]], Guardian]
"""Given what to guard, a deadline and whom to tell of its loss, return an armed guardian or raise Refused."""


class GuardianProcess:
    """A guardian in a process of its own (``quiesced.guardian``)."""

    def __init__(self, guarded: Guarded, deadline_s: float, on_lost: Callable[[], None]) -> None:
        """Start and arm it. Raises Refused(guardian_failed), and then no process is left."""
        self._on_lost = on_lost
        self._lost = ""
        self._disarmed = False
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = _spawn(theirs.fileno(), guarded, deadline_s)
            except OSError as error:
                self._socket.close()
                raise Refused("guardian_failed", f"the guardian process could not be started: {error}") from error
        self._await_armed()
        self._listener = threading.Thread(target=self._listen, name="guardian-listener", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Process id of the guardian."""
        return self._process.pid

    def bring_forward(self, deadline_s: float) -> None:
        """See Guardian. A guardian that is gone is noticed by ``lost``."""
        self._send(f"deadline {deadline_s:.6f}".encode("ascii"))

    def lost(self) -> str:
        """See Guardian."""
        return self._lost

    def disarm(self) -> None:
        """See Guardian."""
        if not self._disarmed:
            self._disarmed = True
            self._send(b"disarm")
            self._reap()
            self._listener.join()
            self._socket.close()

    def _await_armed(self) -> None:
        self._socket.settimeout(ARMING_LIMIT_S)
        try:
            word = self._socket.recv(100)
        except OSError as error:
            word = f"no answer ({error})".encode()
        self._socket.settimeout(None)
        if word != b"armed":
            self._process.kill()
            self._reap()
            self._socket.close()
            raise Refused("guardian_failed", f"the guardian process did not arm: {word.decode() or 'it ended'}")

    def _listen(self) -> None:
        """Wait for the first thing that the guardian says or for its end: both mean that it no longer guards."""
        try:
            word = self._socket.recv(100)
        except OSError:
            word = b""
        if not self._disarmed:
            self._lost = GUARDIAN_FIRED if word else "the guardian process died"
            self._on_lost()

    def _send(self, word: bytes) -> None:
        try:
            self._socket.send(word, socket.MSG_DONTWAIT)
        except OSError:
            return  # gone: the listener has seen it

    def _reap(self) -> None:
        try:
            self._process.wait(LEAVING_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _spawn(daemon_fd: int, guarded: Guarded, deadline_s: float) -> subprocess.Popen[bytes]:
    """Start the guardian with the descriptors it needs and no others; they keep their numbers.

    ``-I -S -B`` and an explicit path: it runs the code that this daemon runs, unpacked or from a zipapp, and nothing
    from the environment. The working directory is / so that it keeps no disk busy.
    """
    home = str(Path(__file__).parent.parent)
    arguments = f"{daemon_fd}, {deadline_s!r}, {list(guarded.mounts)}, {list(guarded.connections)}, {guarded.knob}"
    code = f"import sys; sys.path.insert(0, {home!r}); from quiesced.guardian import main; main({arguments})"
    inherited: list[int] = [daemon_fd, *guarded.mounts, *guarded.connections]
    knob: int | None = guarded.knob if guarded.knob >= 0 else None
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-c", code],
        pass_fds=[*inherited, knob] if knob is not None else inherited,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=os.sep,
        start_new_session=True,
    )

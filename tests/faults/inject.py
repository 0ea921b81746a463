"""What happens in a faulted process. Used by faulty_hook.py and by faulty_index.py, and by nothing else.

The standard library only: the function's process has nothing of the tests.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

HOUR_S = 3600.0
_SHIFTS = {"clock_forward": HOUR_S, "clock_back": -HOUR_S}
_LATE = frozenset({"kill", "hang"})
_LATE_S = 0.003
"""How long after the sending a process that dies *during* a request dies: before the answer."""


class PageError(Exception):
    """An answer that is not the hook's own: HTTP status and body."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.body = status, body


class Injector:
    """Fires the one fault that is set, once, at its step and moment. ``shared``: steps run in several threads at once."""

    def __init__(self, read: Callable[[], Mapping[str, Any] | None], *, of_threads: bool) -> None:
        self._read = read
        self._current: Any = threading.local() if of_threads else _Plain()
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}
        self._fired: str | None = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Run a step: faults before it, and after it when it went well."""
        self._at(name, "before", wire=False)
        outer, self._current.name = getattr(self._current, "name", ""), name
        try:
            yield
        finally:
            self._current.name = outer
        self._at(name, "after", wire=False)

    @contextmanager
    def middle(self, *names: str) -> Iterator[None]:
        """Run what lies in the middle of a step: faults during it, and those of its connection."""
        name = getattr(self._current, "name", "")
        if names and name not in names:
            yield
            return
        self._at(name, "before", wire=True)
        self._at(name, "during", wire=False)
        yield
        self._at(name, "after", wire=True)

    def active(self, *kinds: str) -> bool:
        """Whether a fault of one of these kinds has fired and is still set."""
        fault = self._read() if self._fired else None
        return fault is not None and fault["id"] == self._fired and fault["kind"] in kinds

    def shift_s(self) -> float:
        """How far this process's clock is off."""
        return next((shift_s for kind, shift_s in _SHIFTS.items() if self.active(kind)), 0.0)

    def _at(self, name: str, moment: str, *, wire: bool) -> None:
        fault = self._read()
        if fault is None or (fault["step"], fault["moment"]) != (name, moment) or _of_connection(fault) is not wire:
            return
        with self._lock:
            seen = self._seen[fault["id"]] = self._seen.get(fault["id"], 0) + 1
            if seen != fault["nth"]:
                return
            self._fired = fault["id"]
        if moment == "during" and fault["side"] != "daemon" and (_act_of(fault) is None or fault["kind"] in _LATE):
            threading.Timer(_LATE_S, _fire, (fault,)).start()
        else:
            _fire(fault)


class _Plain:
    """One current step for the whole process."""


def bend_time(injector: Injector) -> None:
    """Let this process's idea of the time of day follow the fault; before the modules that keep ``time.time``."""
    real = time.time
    time.time = lambda: real() + injector.shift_s()


def _fire(fault: Mapping[str, Any]) -> None:
    _tell(fault)
    act = _act_of(fault)
    if act is not None:
        act(fault)


def _of_connection(fault: Mapping[str, Any]) -> bool:
    """Whether it strikes at a connection of the function, where that sends and reads."""
    return bool(fault["side"] == "function" and fault["kind"] == "reset")


def _act_of(fault: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], None] | None:
    """What the process does to itself; None where the matrix does it all."""
    return None if fault["kind"] == "reset" and not _of_connection(fault) else _ACTS.get(fault["kind"])


def _tell(fault: Mapping[str, Any]) -> None:
    """Tell the matrix that the moment has come, and wait until it has done its part."""
    with socket.socket(socket.AF_UNIX) as signal_to:
        signal_to.settimeout(2.0)
        signal_to.connect("\0" + fault["signal"])
        signal_to.sendall(fault["id"].encode() + b"\n")
        signal_to.recv(1)


def _exhaust_files(fault: Mapping[str, Any]) -> None:
    """Leave this process no file descriptor to open."""
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def _out_of_memory(fault: Mapping[str, Any]) -> None:
    raise MemoryError("injected")


def _exceed_memory(fault: Mapping[str, Any]) -> None:
    """Use more memory than SCF allows, and be killed for it."""
    kept = b"x" * (512 << 20)
    time.sleep(30)
    sys.stderr.write(f"{len(kept)} bytes were allowed\n")


def _full_output(fault: Mapping[str, Any]) -> None:
    if fault["side"] == "function":  # it writes nothing but its output

        def write(text: str) -> int:
            raise OSError(errno.ENOSPC, "injected")

        sys.stdout.write = write  # type: ignore[method-assign]


def _reset(fault: Mapping[str, Any]) -> None:
    import requests  # noqa: PLC0415 - not there in the daemon

    raise requests.exceptions.ConnectionError("injected: connection reset by peer")


def _page(status: int, body: bytes) -> Callable[[Mapping[str, Any]], None]:
    def answer(fault: Mapping[str, Any]) -> None:
        raise PageError(status, body)

    return answer


_ACTS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "hang": lambda _: os.kill(os.getpid(), signal.SIGSTOP),
    "slow": lambda fault: time.sleep(fault["seconds"]),
    "too_slow": lambda fault: time.sleep(fault["seconds"]),
    "memory": _out_of_memory,
    "memory_limit": _exceed_memory,
    "no_files": _exhaust_files,
    "disk_full": _full_output,
    "reset": _reset,
    "http_500": _page(500, b"<html>Internal Server Error</html>"),
    "throttled": _page(429, b"<html>Too Many Requests</html>"),
    "not_json": _page(200, b"<html>Welcome</html>"),
}
"""What the process does to itself. The other kinds are done by the matrix when it is told."""

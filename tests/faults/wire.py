"""The network between function and instance: a TCP relay that can reset, and fall silent."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import threading

_libc = ctypes.CDLL(None, use_errno=True)


class Wire:
    """Connect to ``port`` instead of the daemon."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server((host, 0), backlog=64)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._silent = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where the function connects."""
        return int(self._listener.getsockname()[1])

    def reset(self) -> None:
        """Reset every connection; new ones are taken."""
        with self._lock:
            for connection in self._open:
                _reset(connection)
            self._open.clear()

    def silence(self) -> None:
        """Lose every byte from now on, of new connections too, without a word to either side."""
        self._silent = True

    def mend(self) -> None:
        """Carry bytes again; connections that have lost some are gone."""
        if self._silent:
            self._silent = False
            self.reset()

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                self._connect(caller)

    def _connect(self, caller: socket.socket) -> None:
        try:
            daemon = socket.create_connection(self._target, timeout=2)
        except OSError:
            caller.close()  # as a host does where nothing listens
            return
        daemon.settimeout(None)
        with self._lock:
            self._open |= {caller, daemon}
        for source, sink in ((caller, daemon), (daemon, caller)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError), source:
            while data := source.recv(65_536):
                if not self._silent:
                    sink.sendall(data)
        with self._lock:
            self._open.discard(source)
        if not self._silent:
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)


def _reset(connection: socket.socket) -> None:
    """Send RST and wake whoever reads: connect(2) to AF_UNSPEC, which is how Linux dissolves a connection."""
    if connection.fileno() >= 0:
        _libc.connect(connection.fileno(), ctypes.create_string_buffer(16), 16)

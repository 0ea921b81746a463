"""What lab tests do and look at: the moment inside a hold, and the state of the database from outside."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from quiesce_lab.scf import Invocation
from quiesce_lab.stage import Stage
from quiesce_lab.trial import report_of
from tests.waiting import wait_until


def inside_the_hold(lab: Stage) -> Invocation:
    """Fire the function and return once its CreateSnapshot has arrived: from here on the instance is held."""
    before = len(lab.site.cloud.record.of("CreateSnapshot"))
    invocation = lab.function.start(lab.event())
    wait_until(lambda: len(lab.site.cloud.record.of("CreateSnapshot")) > before, timeout_s=20)
    return invocation


def target_of(value: object) -> Mapping[str, Any]:
    """The only target of a run's report."""
    (target,) = report_of(value)["targets"]
    return dict(target)


def certificate_of(value: object) -> Mapping[str, Any]:
    """The certificate of the only target."""
    return dict(target_of(value)["certificate"])


def assert_writable(lab: Stage, *, within_s: float) -> float:
    """Commits go on: the database is unlocked and its filesystem thawed. Returns after how many seconds."""
    started_s = time.monotonic()
    acked = lab.host.load.acked()
    lab.host.load.wait_until_acked(acked + 20, timeout_s=within_s)
    return time.monotonic() - started_s


def sessions(lab: Stage) -> int:
    """Sessions that the server has open, but for this look."""
    with lab.host.database.connect() as session, session.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user = 'root'")
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def setting(lab: Stage) -> int:
    """innodb_flush_log_at_trx_commit, as the server has it now."""
    with lab.host.database.connect() as session, session.cursor() as cursor:
        cursor.execute("SELECT @@GLOBAL.innodb_flush_log_at_trx_commit")
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])


class Wire:
    """A network path to the daemon that can be cut: a TCP relay on another port."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server((host, 0))
        self._open: list[socket.socket] = []
        self._cut = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where to connect instead of the daemon."""
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """Break every connection and accept no more."""
        self._cut.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self._cut.is_set():
                caller, _ = self._listener.accept()
                daemon = socket.create_connection(self._target)
                self._open += [caller, daemon]
                for source, sink in ((caller, daemon), (daemon, caller)):
                    threading.Thread(target=_relay, args=(source, sink), daemon=True).start()


def _relay(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError), source:
        while data := source.recv(65_536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def wire_to(lab: Stage, port: int) -> Iterator[Wire]:
    """A wire to the daemon; cut at the end at the latest."""
    wire = Wire(lab.host.address, port)
    try:
        yield wire
    finally:
        wire.cut()
        for connection in wire._open:
            connection.close()

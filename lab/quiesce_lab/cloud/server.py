"""The cloud as a whole: HTTPS on a port, and the parts that a test sets and reads."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

from cheroot.server import HTTPRequest, HTTPServer
from cheroot.ssl.builtin import BuiltinSSLAdapter

from quiesce_lab.cloud.admission import MAX_BODY, Request
from quiesce_lab.cloud.catalog import NAMES
from quiesce_lab.cloud.dispatch import Dispatcher
from quiesce_lab.cloud.faults import Faults
from quiesce_lab.cloud.record import Record
from quiesce_lab.cloud.settings import Settings
from quiesce_lab.cloud.times import Clock
from quiesce_lab.cloud.world import World
from quiesce_lab.errors import LabError
from quiesce_lab.ports import BlockStore

_log = logging.getLogger("quiesce_lab.cloud")
_THREADS = 48
"""Requests answered at the same time; a call in its latency holds one thread."""
_IDLE_S = 30


class Cloud:
    """A small Tencent Cloud. Set the stage in ``world``, then ``start``; ``stop`` cuts every wait short.

    ``certificate`` and ``private_key`` are PEM files, the certificate with its chain. ``port`` 0 takes a free one.
    """

    def __init__(
        self,
        blocks: BlockStore,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        certificate: str | Path,
        private_key: str | Path,
        clock: Clock = time,
    ) -> None:
        self.world = World(clock)
        self.settings = Settings()
        self.faults = Faults(NAMES)
        self.record = Record()
        self._stopping = threading.Event()
        dispatcher = Dispatcher(
            world=self.world,
            blocks=blocks,
            settings=self.settings,
            faults=self.faults,
            record=self.record,
            pause=self._pause,
        )
        self._server = _Server(
            (host, port), gateway=lambda req: _Gateway(req, dispatcher), minthreads=_THREADS, maxthreads=_THREADS
        )
        self._server.ssl_adapter = BuiltinSSLAdapter(str(certificate), str(private_key))
        self._server.timeout = _IDLE_S
        self._server.keep_alive_conn_limit = 4 * _THREADS
        self._server.request_queue_size = 128
        self._server.expiration_interval = 0.05
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Port that the cloud listens on. Raises LabError before ``start``."""
        if self._thread is None:
            raise LabError("the cloud has no port before it is started")
        port: int = self._server.bind_addr[1]
        return port

    def start(self) -> None:
        """Listen and answer, in threads of this process."""
        if self._thread is not None:
            raise LabError("the cloud has been started already")
        self._server.prepare()
        self._thread = threading.Thread(target=self._server.serve, name="quiesce-lab-cloud", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer what is underway without further delay, and close every connection."""
        self._stopping.set()
        self._server.stop()
        if self._thread is not None:
            self._thread.join()

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self._stopping.wait(seconds)


class _Server(HTTPServer):
    """cheroot's server with its complaints in the log instead of on the terminal."""

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """Log what went wrong with a connection."""
        _log.log(level, msg, exc_info=traceback)


class _Gateway:
    """Carries one request from cheroot to the dispatcher and its answer back."""

    def __init__(self, req: HTTPRequest, dispatcher: Dispatcher) -> None:
        self._req = req
        self._dispatcher = dispatcher

    def respond(self) -> None:
        """Answer, or close the connection without a byte where a fault says so."""
        arrived_at = time.monotonic()
        req = self._req
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in req.inheaders.items()}
        reply = self._dispatcher.reply(
            Request(
                method=req.method.decode("latin-1"),
                path=req.path.decode("latin-1"),
                headers=headers,
                body=_read(req.rfile),
                arrived_at=arrived_at,
            )
        )
        if reply.body is None:
            # cheroot sends the headers of a ready request by itself, and here not even those may go out.
            req.ready = False
            req.close_connection = True
            return
        req.status = reply.status.encode()  # type: ignore[assignment]  # cheroot's stub says str, its code wants bytes
        req.outheaders = [
            (b"Content-Type", reply.content_type.encode()),
            (b"Content-Length", str(len(reply.body)).encode()),
        ]
        try:
            req.ensure_headers_sent()
            req.write(reply.body)
        except OSError:
            # The client has given up; what it asked for has been done all the same.
            req.close_connection = True


def _read(rfile: Any) -> bytes | None:
    """Read a body to its end, so that the client can read the answer; None when it is too long to keep."""
    kept = bytearray()
    length = 0
    while chunk := rfile.read(64 * 1024):
        length += len(chunk)
        if length <= MAX_BODY:
            kept += chunk
    return bytes(kept) if length <= MAX_BODY else None

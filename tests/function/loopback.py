"""A real HTTPS server on loopback whose answers a test writes, and which counts the connections that it accepts."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme


@dataclass(frozen=True)
class Received:
    """One request; ``connection`` numbers the connections from 1. Header names are lower-case."""

    connection: int
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def action(self) -> str:
        """The API action that a request to the cloud names."""
        return self.headers.get("x-tc-action", "")

    @property
    def params(self) -> Any:
        """The body, as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What to answer; ``hang_up`` closes the connection without a word instead."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False
    hang_up_after: bool = False
    """Close the connection after the answer without having said so, as a server does whose patience is over."""


Answerer = Callable[[Received], Reply]
HANG_UP = Reply(hang_up=True)


class LoopbackServer(ThreadingHTTPServer):
    """Serves ``answer`` on 127.0.0.1."""

    daemon_threads = False

    def __init__(self, certificate: trustme.LeafCert, answer: Answerer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.received: list[Received] = []
        self.connections = 0
        self._open: list[ssl.SSLSocket] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self._context)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        plain, address = super().get_request()
        self.connections += 1
        wrapped = self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self._open.append(wrapped)
        return wrapped, (address, self.connections)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients of these tests hang up on purpose."""

    def hang_up_all(self) -> None:
        """Close every connection from this side."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def demand_client_certificate(self, ca: trustme.CA) -> None:
        """Serve only callers that show a certificate of this CA."""
        ca.configure_trust(self._context)
        self._context.verify_mode = ssl.CERT_REQUIRED

    def actions(self) -> list[str]:
        return [received.action for received in self.received]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LoopbackServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = Received(self.client_address[1], self.path, headers, body)
        self.server.received.append(received)
        self._send(self.server.answer(received))

    def do_GET(self) -> None:
        self.server.received.append(Received(self.client_address[1], self.path, {}, b""))
        self._send(Reply(b"{}"))

    def _send(self, reply: Reply) -> None:
        if reply.hang_up:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)
        self.wfile.flush()
        if reply.hang_up_after:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@dataclass(frozen=True)
class Authority:
    """A CA for loopback, with its certificate in a file."""

    ca: trustme.CA
    pem: Path

    @contextlib.contextmanager
    def serve(self, answer: Answerer) -> Iterator[LoopbackServer]:
        server = LoopbackServer(self.ca.issue_cert("127.0.0.1", "localhost"), answer)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            server.hang_up_all()
            server.server_close()

"""The hook's HTTP side: cheroot over TLS, five routes, every error as JSON (hooks/PROTOCOL.md).

The application below knows messages and signatures; what happens to the instance is the keeper's business.
"""

from __future__ import annotations

import json
import logging
import ssl
import time
from collections.abc import Iterable
from typing import Any, Callable, Protocol

from cheroot import wsgi
from cheroot.server import HTTPConnection
from cheroot.ssl.builtin import BuiltinSSLAdapter

from quiesced import decode
from quiesced.auth import Gate, Signed
from quiesced.config import Listen
from quiesced.errors import RequestRefused
from quiesced.messages import (
    CheckAnswer,
    CheckRequest,
    QuiesceAnswer,
    QuiesceRequest,
    ReleaseAnswer,
    ReleaseRequest,
    StatusAnswer,
)

MAX_BODY_BYTES = 65_536
MAX_HEADER_BYTES = 16_384
THREADS = 16
"""More than one run needs: a release must find a free one while a quiesce waits."""
BACKLOG = 128
"""Cheroot's 5 makes a caller behind a burst wait a second for its next SYN."""
READ_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 60
"""A connection is opened by check and used again by release: whatever the function does in between must fit."""

_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    500: "Internal Server Error",
}

log = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


class Keeper(Protocol):
    """What the server asks of the keeper."""

    def check(self, request: CheckRequest) -> CheckAnswer:
        """Say what a hold would cover."""

    def quiesce(self, request: QuiesceRequest) -> QuiesceAnswer:
        """Hold, or refuse and hold nothing."""

    def release(self, request: ReleaseRequest) -> ReleaseAnswer:
        """Let go."""

    def status(self) -> StatusAnswer:
        """Say what is held now."""


class App:
    """The WSGI application."""

    def __init__(self, keeper: Keeper, gate: Gate) -> None:
        self._gate = gate
        self._routes: dict[str, tuple[str, Callable[[bytes], decode.Answer]]] = {
            "/v1/check": ("POST", lambda body: keeper.check(decode.check_request(body))),
            "/v1/quiesce": ("POST", lambda body: keeper.quiesce(decode.quiesce_request(body))),
            "/v1/release": ("POST", lambda body: keeper.release(decode.release_request(body))),
            "/v1/status": ("GET", lambda _: keeper.status()),
        }

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that takes a signed request."""
        return tuple(self._routes)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        started_s = time.monotonic()
        status, code, body = self._respond(environ)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if status in (411, 413):  # the body was not read, so the connection cannot be used again
            headers.append(("Connection", "close"))
        start_response(f"{status} {_REASONS[status]}", headers)
        _log_request(environ, status, code, time.monotonic() - started_s)
        return [body]

    def _respond(self, environ: Environ) -> tuple[int, str, bytes]:
        try:
            return 200, "", self._answer(environ)
        except RequestRefused as error:
            return error.status, error.code, _error(error.code, str(error))
        except Exception:  # whatever it is, the caller gets an answer and the log has the rest
            log.exception("a request failed", extra={"path": environ["REQUEST_URI"][:200]})
            return 500, "internal", _error("internal", "something unexpected; the daemon's log has it")

    def _answer(self, environ: Environ) -> bytes:
        # As it was sent and signed: PATH_INFO has percent signs decoded and the query cut off.
        path, method = environ["REQUEST_URI"], environ["REQUEST_METHOD"]
        if path == "/healthz":
            _insist_on_method(method, "GET")
            return b'{"ok":true}'
        if path not in self._routes:
            raise RequestRefused(404, "unknown_path", "no such path; see hooks/PROTOCOL.md")
        expected, answer = self._routes[path]
        _insist_on_method(method, expected)
        body = _read_body(environ)
        self._gate.admit(method, path, _signed(environ), body)
        return decode.encode(answer(body))


class HookServer:
    """The listening daemon. Raises OSError when the address cannot be bound or a certificate cannot be read."""

    def __init__(self, listen: Listen, app: App) -> None:
        self._server = _Server((listen.host, listen.port), app, numthreads=THREADS, server_name="quiesced")
        self._server.request_queue_size = BACKLOG
        self._server.timeout = IDLE_TIMEOUT_S
        self._server.max_request_header_size = MAX_HEADER_BYTES
        self._server.keep_alive_conn_limit = 64
        self._server.shutdown_timeout = 2
        self._server.ssl_adapter = _Tls(listen)
        self._server.ConnectionClass = _Connection
        self._server.prepare()

    @property
    def port(self) -> int:
        """The port that is bound; the configured one, unless that is 0."""
        return int(self._server.bind_addr[1])

    def serve(self) -> None:
        """Serve until ``stop`` is called from another thread."""
        self._server.serve()

    def stop(self) -> None:
        """Stop listening and end the workers, within a few seconds."""
        self._server.stop()


class _Server(wsgi.Server):
    """Cheroot's server, with its messages in our log instead of on standard error."""

    def process_conn(self, conn: _Connection) -> None:
        """Give a connection to a worker once it has said something: silent callers take no worker from others."""
        if conn.awaited:
            super().process_conn(conn)
        else:
            conn.awaited = True
            self.put_conn(conn)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        log.log(level, "%s", msg, exc_info=traceback)


class _Tls(BuiltinSSLAdapter):
    """TLS 1.2 or newer, with a handshake in the worker's thread.

    Cheroot shakes hands in the thread that accepts, where one caller that connects and says nothing keeps everybody
    else waiting: the release, too.
    """

    def __init__(self, listen: Listen) -> None:
        super().__init__(str(listen.certificate), str(listen.private_key))
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        if listen.client_ca:
            self.context.load_verify_locations(cafile=str(listen.client_ca))
            self.context.verify_mode = ssl.CERT_REQUIRED

    def wrap(self, sock: Any) -> tuple[ssl.SSLSocket, dict[str, str]]:
        return self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), {}


class _Connection(HTTPConnection):
    """A connection that shakes hands before its first request. ``awaited``: it was watched for its first bytes."""

    awaited = False
    _greeted = False

    def communicate(self) -> bool:
        if not self._greeted:
            self.socket.settimeout(READ_TIMEOUT_S)
            try:
                self.socket.do_handshake()
            except OSError as error:
                log.info("a TLS handshake failed", extra={"remote": self.remote_addr, "reason": str(error)})
                return False
            self._greeted = True
        return bool(super().communicate())  # type: ignore[no-untyped-call]


def _insist_on_method(method: str, expected: str) -> None:
    if method != expected:
        raise RequestRefused(405, "wrong_method", f"this path takes {expected} only")


def _read_body(environ: Environ) -> bytes:
    if environ["REQUEST_METHOD"] == "GET" and "CONTENT_LENGTH" not in environ:
        return b""
    length = environ.get("CONTENT_LENGTH") or ""
    if not length.isdigit() or "HTTP_TRANSFER_ENCODING" in environ:
        raise RequestRefused(411, "length_required", "send the body with a Content-Length, not in chunks")
    if int(length) > MAX_BODY_BYTES:
        raise RequestRefused(413, "too_large", f"a body may have {MAX_BODY_BYTES} bytes")
    body: bytes = environ["wsgi.input"].read(int(length))
    if len(body) != int(length):
        raise RequestRefused(400, "bad_json", "the body ended early")
    return body


def _signed(environ: Environ) -> Signed:
    names = ("KEY", "TIMESTAMP", "NONCE", "SIGNATURE")
    return Signed(*(environ.get(f"HTTP_X_QUIESCE_{name}", "") for name in names))


def _error(code: str, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False).encode()


def _log_request(environ: Environ, status: int, code: str, elapsed_s: float) -> None:
    facts = {
        "method": environ["REQUEST_METHOD"][:16],
        "path": environ["REQUEST_URI"][:200],
        "status": status,
        "code": code,
        "remote": environ["REMOTE_ADDR"],
        "elapsed_s": round(elapsed_s, 4),
    }
    log.info("request", extra=facts)

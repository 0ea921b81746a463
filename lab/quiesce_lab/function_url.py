"""The function's URL: HTTPS on loopback, each request an invocation with the event that SCF makes of it."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from quiesce_lab.scf import Invoked

_LIMIT = 6 * 1024 * 1024


def event_of(method: str, target: str, headers: dict[str, str], body: str) -> dict[str, object]:
    """Make the event of one request (SCF documentation, function URL)."""
    parts = urlsplit(target)
    return {
        "httpMethod": method,
        "path": parts.path,
        "headers": headers,
        "queryString": dict(parse_qsl(parts.query)),
        "body": body,
    }


@contextlib.contextmanager
def serving(invoke: Callable[[object], Invoked], chain: Path, key: Path) -> Iterator[str]:
    """Serve a function on a free port; yields its URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(invoke))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, name="function-url", daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(invoke: Callable[[object], Invoked]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One request, one invocation."""

        def do_POST(self) -> None:
            self._answer("POST")

        def do_GET(self) -> None:
            self._answer("GET")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(min(_LIMIT, int(self.headers.get("content-length") or 0))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            invoked = invoke(event_of(method, self.path, headers, body))
            answer: dict[str, Any] = invoked.value if isinstance(invoked.value, dict) else {"statusCode": invoked.status}
            content = str(answer.get("body", "")).encode()
            self.send_response(int(answer["statusCode"]))
            for name, value in answer.get("headers", {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            """Say nothing: the invocation has a log of its own."""

    return Handler

"""An HTTPS proxy that answers Tencent Cloud's SCF and tag APIs itself and keeps what it was asked.

It is lenient where the lab's cloud is strict: the tools that come through here send fields that the API's own models do
not have. What they send is looked at by the tests.
"""

from __future__ import annotations

import contextlib
import json
import socketserver
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import trustme


@dataclass
class Asked:
    """Calls in their order, and a function that exists once it was created."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    created: dict[str, Any] = field(default_factory=dict)
    triggers: list[dict[str, Any]] = field(default_factory=list)

    def of(self, action: str) -> list[dict[str, Any]]:
        return [body for name, body in self.calls if name == action]

    def answer(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer as the platform does, as far as the tools look."""
        self.calls.append((action, body))
        if action == "CreateFunction":
            self.created = body
        elif action == "GetFunction":
            return self._function()
        elif action == "CreateTrigger":
            return {"TriggerInfo": self._trigger(body)}
        elif action == "ListTriggers":
            wanted = {one["Name"]: one["Values"] for one in body.get("Filters", [])}
            fitting = [one for one in self.triggers if all(one.get(name) in values for name, values in wanted.items())]
            return {"TotalCount": len(fitting), "Triggers": fitting}
        elif action == "GetAlias":
            return {"FunctionVersion": "$LATEST", "Name": "$DEFAULT", "RoutingConfig": {"AdditionalVersionWeights": []}}
        return {"Rows": [], "TotalCount": 0, "Tags": []}

    def _function(self) -> dict[str, Any]:
        if not self.created:
            return {"Error": {"Code": "ResourceNotFound.FunctionName", "Message": "There is no such function."}}
        return {**self.created, "Status": "Active", "Triggers": self.triggers, "Qualifier": "$LATEST", "Tags": []}

    def _trigger(self, body: dict[str, Any]) -> dict[str, Any]:
        desc, timer = body["TriggerDesc"], body["Type"] == "timer"
        made = {
            **body,
            "Enable": int(body["Enable"] == "OPEN"),
            "TriggerDesc": json.dumps({"cron": desc}) if timer else desc,
        }
        self.triggers.append(made)
        return made


@contextlib.contextmanager
def recording_proxy(directory: Path) -> Iterator[tuple[str, Asked]]:
    """Serve until the block ends; gives the proxy's address and what it was asked."""
    asked = Asked()
    context = _tls(directory)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            _read_head(self.rfile)
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            tls = context.wrap_socket(self.request, server_side=True)
            with contextlib.suppress(OSError), tls, tls.makefile("rb") as reader:
                _serve(reader, tls, asked)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def _tls(directory: Path) -> ssl.SSLContext:
    issued = trustme.CA().issue_cert("*.tencentcloudapi.com")
    file = directory / "proxy.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _serve(reader: BinaryIO, connection: ssl.SSLSocket, asked: Asked) -> None:
    while head := _read_head(reader):
        body = _body(head, reader.read(int(head.get("content-length", "0"))))
        action = head.get("x-tc-action") or body.get("Action", "")
        answer = {"Response": {**asked.answer(action, body), "RequestId": "r-1"}}
        content = json.dumps(answer).encode()
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content) + content
        )


def _body(head: dict[str, str], content: bytes) -> dict[str, Any]:
    """Read JSON, or a form: the toolkit signs in the API's old way, in which ``Tags.0.Key`` is a place in a tree."""
    if "json" in head.get("content-type", ""):
        read: dict[str, Any] = json.loads(content)
        return read
    tree: dict[str, Any] = {}
    for path, value in urllib.parse.parse_qsl(content.decode()):
        *parents, last = path.split(".")
        node = tree
        for step in parents:
            node = node.setdefault(step, {})
        node[last] = value
    return {key: _listed(value) for key, value in tree.items()}


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    values = {key: _listed(value) for key, value in node.items()}
    return list(values.values()) if all(key.isdigit() for key in values) else values


def _read_head(reader: Any) -> dict[str, str]:
    """Read a request's first line and headers; empty at the end of the connection."""
    lines: list[str] = []
    while (line := reader.readline().decode("latin-1").strip()) or not lines:
        if not line and not lines:
            return {}
        lines.append(line)
    return {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in lines[1:])} | {
        "": lines[0]
    }

"""Hook daemons of a whole estate in one process: the real protocol, gate and leases, with nothing behind them to hold.

They listen on every loopback address at once. Standard input open means go on; at its end the truth about every
instance goes to the file that was named.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import ssl
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.fleet.behaviour import Kind, Simulated, numbered
from quiesced import decode, lease
from quiesced.auth import Gate, Signed
from quiesced.due import PREPARED_LIMIT_S
from quiesced.errors import RequestRefused
from quiesced.lease import LeaseBook, Phase, Turn
from quiesced.messages import (
    Application,
    ApplicationWitness,
    CheckAnswer,
    CheckRequest,
    Filesystem,
    FilesystemWitness,
    QuiesceAnswer,
    QuiesceRequest,
    Refusal,
    ReleaseAnswer,
    ReleaseRequest,
    Step,
    Witness,
    WrittenPath,
)

MOUNT = "/data"


@dataclass
class Daemon:
    """One instance's daemon."""

    me: Simulated
    book: LeaseBook = field(default_factory=lambda: LeaseBook(time.monotonic))
    held_since_s: float = 0.0
    holds: int = 0
    expired: int = 0
    longest_hold_s: float = 0.0

    def check(self, request: CheckRequest) -> CheckAnswer:
        """Answer at once; what is over by itself is ended first."""
        self._end_what_is_over()
        current = self.book.current()
        refusals = [Refusal("busy", f"lease {current[0]} has not ended; try again")] if current else []
        if self.me.kind is Kind.REFUSING:
            refusals.append(Refusal("blocked", "session 812 runs an ALTER TABLE; wait for it, and run again"))
        path = WrittenPath("data", f"{MOUNT}/mysql", self.me.disk_id, MOUNT, "vdb", False)
        application = Application("orders", "mysql", "10.11-MariaDB", "lock", "simulated", (path,))
        disk = Filesystem(MOUNT, self.me.disk_id, "ext4")
        return CheckAnswer(not refusals, tuple(refusals), (application,), (disk,), self.book.holds_of(request.run_id))

    async def prepare(self, request: QuiesceRequest) -> QuiesceAnswer:
        """Take as long as the instance does."""
        self._end_what_is_over()
        turn = self.book.ask(request)
        if not isinstance(turn, Turn) or turn is not Turn.ACQUIRE:
            return turn if isinstance(turn, QuiesceAnswer) else lease.refused(request.lease_id, Refusal("busy", "again"))
        await asyncio.sleep(self.me.prepare_s)
        steps = (Step("preflush", self.me.prepare_s),)
        answer = QuiesceAnswer(request.lease_id, "prepared", None, None, steps, PREPARED_LIMIT_S)
        if self.book.prepared(request.lease_id, answer, time.monotonic() + PREPARED_LIMIT_S):
            return answer
        return self._refuse(request.lease_id, Refusal("cancelled", "a release arrived meanwhile"))

    async def quiesce(self, request: QuiesceRequest) -> QuiesceAnswer:
        """Hold, under a lease that was prepared."""
        self._end_what_is_over()
        turn = self.book.ask(request)
        if turn is not Turn.ACQUIRE:
            return turn if isinstance(turn, QuiesceAnswer) else lease.refused(request.lease_id, Refusal("busy", "again"))
        await asyncio.sleep(self.me.acquire_s)
        self.held_since_s = time.monotonic()
        ends_s = self.held_since_s + request.hold_limit_s
        answer = QuiesceAnswer(request.lease_id, "held", None, self._witness(), (), request.hold_limit_s)
        if not self.book.granted(request.lease_id, answer, ends_s):
            return self._refuse(request.lease_id, Refusal("cancelled", "a release arrived meanwhile"))
        self.holds += 1
        return answer

    def release(self, request: ReleaseRequest) -> ReleaseAnswer:
        """Let go of whatever the lease has."""
        self._end_what_is_over()
        turn = self.book.release(request.lease_id)
        if turn is Turn.LET_GO:
            held_s = time.monotonic() - self.held_since_s
            self.longest_hold_s = max(self.longest_hold_s, held_s)
            answer = ReleaseAnswer(request.lease_id, "released", True, "", self._witness(), held_s, ())
            self.book.ended(request.lease_id, answer)
            self.book.vacate(request.lease_id)
            return answer
        if turn is Turn.BACK_OUT:
            self._refuse(request.lease_id, Refusal("cancelled", "it was released"))
        again = self.book.release(request.lease_id)
        return again if isinstance(again, ReleaseAnswer) else lease.never_held(request.lease_id, "still being acquired")

    def _refuse(self, lease_id: str, refusal: Refusal) -> QuiesceAnswer:
        answer = lease.refused(lease_id, refusal)
        self.book.refused(lease_id, answer)
        self.book.vacate(lease_id)
        return answer

    def _end_what_is_over(self) -> None:
        current = self.book.current()
        if current is None or time.monotonic() < current[3] or not self.book.claim(current[0]):
            return
        lease_id, _, phase, _ = current
        if phase is Phase.PREPARED:
            self._refuse(lease_id, Refusal("prepared_too_long", "nobody went on with it"))
            return
        self.expired += 1
        self.book.ended(lease_id, lease.expired(lease_id, "the hold limit passed", 0.0))
        self.book.vacate(lease_id)

    def _witness(self) -> Witness:
        application = ApplicationWitness(
            "orders",
            "mysql",
            "4711",
            True,
            True,
            "simulated",
            {"gtid": "0-1-42"},
            True,
            "simulated",
            "lock",
            "lock",
            "simulated",
        )
        return Witness((application,), (FilesystemWitness(MOUNT, self.me.disk_id, True),), "all", "simulated")


class Estate:
    """Every daemon, by the address that a connection came to."""

    def __init__(self, key_id: str, secret: str) -> None:
        self.daemons: dict[str, Daemon] = {}
        self._gate = Gate({key_id: secret.encode()}, max_nonces=1_000_000)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        address = writer.get_extra_info("sockname")[0]
        daemon = self.daemons.setdefault(address, Daemon(numbered(address)))
        try:
            while daemon.me.kind is not Kind.DEAD:
                if daemon.me.kind is Kind.SILENT:
                    await reader.read()
                    return
                status, answer = await self._one(daemon, reader)
                head = f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
                writer.write(head.encode() + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def _one(self, daemon: Daemon, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        names = ("key", "timestamp", "nonce", "signature")
        try:
            self._gate.admit(method, path, Signed(*(headers.get(f"x-quiesce-{name}", "") for name in names)), body)
            return 200, decode.encode(await _answer(daemon, path, body))
        except RequestRefused as error:
            return error.status, json.dumps({"error": {"code": error.code, "message": str(error)}}).encode()


async def _answer(daemon: Daemon, path: str, body: bytes) -> Any:
    if path == "/v1/check":
        return daemon.check(decode.check_request(body))
    if path == "/v1/release":
        return daemon.release(decode.release_request(body))
    request = decode.quiesce_request(body)
    return await (daemon.prepare(request) if path == "/v1/prepare" else daemon.quiesce(request))


async def _main(given: argparse.Namespace) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(given.certificate, given.private_key)
    estate = Estate(given.key_id, given.secret)
    server = await asyncio.start_server(estate.serve, "0.0.0.0", given.port, ssl=context, backlog=1024)
    print("listening", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()
    truth = {
        daemon.me.instance_id: {
            "kind": daemon.me.kind.value,
            "holds": daemon.holds,
            "expired": daemon.expired,
            "longest_hold_s": daemon.longest_hold_s,
        }
        for daemon in estate.daemons.values()
    }
    given.truth.write_text(json.dumps(truth))


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="bench.fleet.instances", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--private-key", required=True)
    parser.add_argument("--key-id", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--truth", type=Path, required=True)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()

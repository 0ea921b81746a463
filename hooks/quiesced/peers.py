"""Who has failed too often of late: addresses whose requests are refused before any signature is computed.

A correctly signed release is always admitted, whoever shares the address: an attacker must not be able to keep a hold
from being let go (docs/security.md).
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Callable

MAX_FAILURES = 20
"""Failures in one window after which an address is shut out: more than a wrong configuration makes in a few runs."""
WINDOW_S = 60.0
SHUT_OUT_S = 60.0
MAX_PEERS = 1000
"""Addresses remembered; the one that failed longest ago is forgotten for another."""


@dataclass
class _Peer:
    since_s: float
    failures: int
    shut_out_until_s: float


class Peers:
    """Failures by address. Safe to call from several threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, *, max_peers: int = MAX_PEERS) -> None:
        self._monotonic = monotonic
        self._max_peers = max_peers
        self._lock = threading.Lock()
        self._peers: OrderedDict[str, _Peer] = OrderedDict()

    def failed(self, address: str) -> None:
        """Note a refused request or a failed handshake; one too many shuts the address out."""
        with self._lock:
            now_s = self._monotonic()
            peer = self._peers.pop(_network(address), None)
            if peer is None or (now_s - peer.since_s > WINDOW_S and now_s >= peer.shut_out_until_s):
                peer = _Peer(now_s, 0, 0.0)
            peer.failures += 1
            if peer.failures == MAX_FAILURES:
                peer.shut_out_until_s = now_s + SHUT_OUT_S
            while len(self._peers) >= self._max_peers:
                self._peers.popitem(last=False)
            self._peers[_network(address)] = peer

    def shut_out_s(self, address: str) -> float:
        """Return for how many more seconds an address is shut out; 0 when it is not."""
        with self._lock:
            peer = self._peers.get(_network(address))
            return max(0.0, peer.shut_out_until_s - self._monotonic()) if peer else 0.0


def _network(address: str) -> str:
    """Return what one caller has: an IPv4 address, or the /64 in which it may take any IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))

"""Ports that nobody listens on."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Find a TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""Whether the service runs on this instance, and what it is at."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Optional

from quiesced.caller import DaemonSilentError, ask
from quiesced.config import Config
from quiesced.words import _


def is_served(config: Config) -> bool:
    """Whether the service runs. Raises DaemonSilentError when it does, by its lock, and gives no answer."""
    try:
        ask(config, "GET", "/v1/status", {})
    except DaemonSilentError:
        if _is_locked(config.state_dir / "lock"):
            raise
        return False
    return True


def _is_locked(path: Path) -> bool:
    try:
        fd = os.open(str(path), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def who_holds(config: Config) -> str:
    """Name the lease and the run that the service works for; empty when it does not say."""
    try:
        status = ask(config, "GET", "/v1/status", {})
    except DaemonSilentError:
        return ""
    lease: Optional[str] = status["lease_id"]
    return _(": lease {lease_id} of run {run_id}", lease_id=lease, run_id=status["run_id"]) if lease else ""

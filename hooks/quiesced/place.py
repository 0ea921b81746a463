"""The place: the right to hold on this machine, which one process has at a time.

The service takes it for as long as a lease is prepared or held. Whoever else wants nothing to be held meanwhile takes it
too: ``quiesced rehearse``, and ``quiesced when-idle`` around a restart. The kernel forgets the lock with the process.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Optional

NAME = "hold.lock"


class Place:
    """One process's view of the place. Not for several threads at once."""

    def __init__(self, state_dir: Path) -> None:
        """``state_dir`` is the one of the service, whoever asks."""
        self._path = state_dir / NAME
        self._fd: Optional[int] = None

    def take(self) -> bool:
        """Take it; False when another process has it. Raises OSError.

        Opened for reading, so that what root leaves does not keep the service out, which is not root.
        """
        if self._fd is not None:
            return True
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(str(self._path), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def leave(self) -> None:
        """Give it back. Any number of times."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

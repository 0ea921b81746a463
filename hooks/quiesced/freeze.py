"""Freezing and thawing one filesystem, and seeing whether it is frozen.

FIFREEZE and FITHAW are ioctl_fs calls on any descriptor of the filesystem; a second FIFREEZE answers EBUSY and a FITHAW
of what is not frozen answers EINVAL (fs/super.c). Both can wait in the kernel for as long as the disk takes, so each
filesystem has a thread of its own: one that is stuck delays no other.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import threading
from typing import Protocol

from quiesced import write_back

FIFREEZE = 0xC0045877
FITHAW = 0xC0045878
_libc = ctypes.CDLL(None, use_errno=True)


class Ioctls(Protocol):
    """The kernel's calls on a descriptor of a filesystem. Each raises OSError and nothing else."""

    def freeze(self, fd: int) -> None:
        """Block new writes, write out what is dirty; EBUSY when it is frozen already."""

    def thaw(self, fd: int) -> None:
        """Let writers go on; EINVAL when it is not frozen."""

    def sync(self, fd: int) -> None:
        """Write out what is dirty, and wait until it is."""

    def write_back(self, fd: int) -> None:
        """Write out most of what is dirty, in pieces that hold up no other writer for long."""


class LinuxIoctls:
    """The calls as Linux has them; freezing needs CAP_SYS_ADMIN."""

    def freeze(self, fd: int) -> None:
        """See Ioctls."""
        fcntl.ioctl(fd, FIFREEZE, 0)

    def thaw(self, fd: int) -> None:
        """See Ioctls."""
        fcntl.ioctl(fd, FITHAW, 0)

    def sync(self, fd: int) -> None:
        """See Ioctls. Python has no syncfs(2) of its own."""
        if _libc.syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), "syncfs: " + os.strerror(ctypes.get_errno()))

    def write_back(self, fd: int) -> None:
        """See Ioctls."""
        write_back.in_pieces(fd)


def shows_frozen(ioctls: Ioctls, fd: int) -> bool:
    """Observe whether a filesystem is frozen: a second freeze is refused with EBUSY.

    When it was not, the attempt has frozen it, and it is thawed again here.
    """
    try:
        ioctls.freeze(fd)
    except OSError as error:
        return error.errno == errno.EBUSY
    thaw_if_frozen(ioctls, fd)
    return False


def thaw_if_frozen(ioctls: Ioctls, fd: int) -> OSError | None:
    """Thaw; being thawed already is success. Returns what else went wrong."""
    try:
        ioctls.thaw(fd)
    except OSError as error:
        return None if error.errno == errno.EINVAL else error
    return None


class Freezer:
    """One filesystem and the thread that freezes and thaws it. Made before the hold, because threads cost time.

    It is told what is wanted, not what to do: when the wish turns to *thawed* while FIFREEZE is still stuck in the
    kernel, the same thread thaws as soon as that call returns.
    """

    def __init__(self, ioctls: Ioctls, fd: int) -> None:
        self._ioctls = ioctls
        self._fd = fd
        self._changed = threading.Condition()
        self._wanted = False
        self._frozen = False
        self._in_kernel = False
        self._closed = False
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._work, name=f"freezer-{fd}", daemon=True)
        self._thread.start()

    def want(self, frozen: bool) -> None:
        """Say what the filesystem should be, and do not wait for it."""
        with self._changed:
            self._wanted = frozen
            self._changed.notify_all()

    def settled(self, timeout_s: float) -> bool:
        """Wait until the filesystem is as wanted or the kernel has refused; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(self._is_settled, max(0.0, timeout_s))

    @property
    def error(self) -> OSError | None:
        """What the kernel refused with, if it did. A filesystem whose freeze was refused is never thawed here."""
        with self._changed:
            return self._error

    def close(self) -> None:
        """End the thread. Only after ``settled``."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _is_settled(self) -> bool:
        return not self._in_kernel and (self._error is not None or self._wanted == self._frozen)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or not self._is_settled())
                if self._is_settled():
                    return
                wanted = self._wanted
                self._in_kernel = True
            error = self._call(wanted)
            with self._changed:
                self._in_kernel = False
                self._error = error
                self._frozen = wanted if error is None else self._frozen
                self._changed.notify_all()

    def _call(self, wanted: bool) -> OSError | None:
        try:
            if not wanted:
                return thaw_if_frozen(self._ioctls, self._fd)
            self._ioctls.freeze(self._fd)
        except OSError as error:
            return error
        except Exception as error:  # noqa: BLE001 - out of memory, and whether it is frozen now is not known
            return thaw_if_frozen(self._ioctls, self._fd) or OSError(errno.EIO, repr(error))
        return None

"""The guardian: a process of its own that lets go when the daemon does not.

It is started before the first lock with everything it will ever need: one open descriptor per filesystem, duplicates of
the database connections, and its deadline. Once it has said *armed* it only thaws (FITHAW), ends connections
(shutdown(2)) and puts one kernel setting back: running, opening, importing or logging could wait for the frozen disk.

It lets go when its deadline passes, and when the daemon is gone (end of file on their socket).

    daemon -> guardian   deadline <s>   let go at this reading of CLOCK_MONOTONIC; only ever brings it forward
                         disarm         the hold has ended in order; leave without touching anything
    guardian -> daemon   armed          ready
                         failed <why>   not ready, and leaving
                         fired          letting go now, because the deadline has passed
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

FITHAW = 0xC0045878
REPEAT_S = 0.005
"""A FIFREEZE that was stuck can complete after the deadline: thaw again until the daemon disarms or dies."""
STUCK_S = 0.020
"""How long thaws that are stuck in the kernel may keep the database connections waiting."""
STACK_BYTES = 256 * 1024
"""Every thread's stack is locked into memory, so it is kept small."""
MCL_CURRENT_AND_FUTURE = 3
LATE = b"late"


class Thawer:
    """One filesystem and a thread that is ready to thaw it: one thaw that is stuck delays no other."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._asked = threading.Semaphore(0)
        self.idle = threading.Event()
        self.idle.set()
        threading.Thread(target=self._work, daemon=True).start()

    def thaw(self) -> None:
        """Ask for a thaw, unless the last one is still in the kernel."""
        if self.idle.is_set():
            self.idle.clear()
            self._asked.release()

    def finish(self) -> None:
        """Thaw once more after the one in the kernel: what the dead daemon was freezing is frozen by now."""
        self.idle.wait()
        self.thaw()
        self.idle.wait()

    def _work(self) -> None:
        while True:
            self._asked.acquire()
            with suppress(OSError):  # EINVAL: it is not frozen, which is what is wanted
                fcntl.ioctl(self._fd, FITHAW, 0)
            self.idle.set()


class Guardian:
    """What to let go of, and when."""

    def __init__(
        self, daemon: socket.socket, deadline_s: float, mounts: Sequence[int], connections: Sequence[int], knob: int
    ) -> None:
        self._daemon = daemon
        self._words = select.poll()
        self._words.register(daemon, select.POLLIN)
        self._deadline_s = deadline_s
        self._thawers = [Thawer(fd) for fd in mounts]
        self._connections = [socket.socket(fileno=fd) for fd in connections]
        self._knob = knob

    def watch(self) -> None:
        """Wait for the daemon's word, its end, or the deadline; return when there is nothing left to guard."""
        word = self._next_word(self._deadline_s)
        while word.startswith(b"deadline "):
            self._deadline_s = min(self._deadline_s, float(word.split()[1]))
            word = self._next_word(self._deadline_s)
        if word == b"disarm":
            return
        self._let_go()
        while word:
            word = self._next_word(time.monotonic() + REPEAT_S)
            if word == b"disarm":
                return
            self._thaw()
        for thawer in self._thawers:
            thawer.finish()

    def _next_word(self, until_s: float) -> bytes:
        """Return the daemon's next message, LATE when none came in time, or nothing when the daemon is gone."""
        if not self._words.poll(max(0.0, until_s - time.monotonic()) * 1000):
            return LATE
        with suppress(OSError):
            return self._daemon.recv(100)
        return b""

    def _let_go(self) -> None:
        """Thaw every filesystem at once, then end the connections, which ends the locks that they hold."""
        with suppress(OSError):  # nobody listens any more: that is why we are here
            self._daemon.send(b"fired", socket.MSG_DONTWAIT)
        self._thaw()
        patience_ends_s = time.monotonic() + STUCK_S
        for thawer in self._thawers:
            thawer.idle.wait(max(0.0, patience_ends_s - time.monotonic()))
        for connection in self._connections:
            with suppress(OSError):  # it has ended already
                connection.shutdown(socket.SHUT_RDWR)
        if self._knob >= 0:
            with suppress(OSError):
                os.pwrite(self._knob, b"0", 0)

    def _thaw(self) -> None:
        for thawer in self._thawers:
            thawer.thaw()


def harden(lock_memory: bool) -> None:
    """Outlive a service stop and the OOM killer, and never wait for a page to come from a frozen disk."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):  # without the privilege it runs the ordinary risk
        os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC), b"-900")
    libc = ctypes.CDLL(None, use_errno=True)
    if lock_memory and libc.mlockall(MCL_CURRENT_AND_FUTURE) != 0:
        raise OSError(ctypes.get_errno(), "mlockall: " + os.strerror(ctypes.get_errno()))


def main(daemon_fd: int, deadline_s: float, mounts: list[int], connections: list[int], knob: int) -> None:
    """Arm, watch and leave. Takes inherited descriptors, a reading of CLOCK_MONOTONIC, and a knob (-1: none)."""
    daemon = socket.socket(fileno=daemon_fd)
    try:
        threading.stack_size(STACK_BYTES)
        guardian = Guardian(daemon, deadline_s, mounts, connections, knob)
        harden(lock_memory=bool(mounts))
    except (OSError, RuntimeError) as error:
        daemon.send(f"failed {error}".encode()[:90])
        os._exit(1)
    daemon.send(b"armed")
    guardian.watch()
    os._exit(0)  # at once: a clean-up of the interpreter could wait for threads that are in the kernel

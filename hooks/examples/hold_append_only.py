#!/usr/bin/python3
"""Holds an application that appends to a file under a lock, and witnesses it: an example of a script that stays.

    command = ["/etc/quiesced/hooks.d/append-only", "/data/queue/queue.lock", "/data/queue/queue.log"]

The application's side of the protocol: before each append take flock(2) on the lock file (LOCK_EX), append, let go. The
lock belongs to this process: however it ends, the kernel lets go. Both files are opened for reading only.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import sys

LOOK_S = 0.002


class Input:
    """Words of the daemon, one a line; end of file means that it is gone."""

    def __init__(self) -> None:
        self._read = b""

    def next_word(self) -> str:
        """Wait for a word and return it; at the end of the input: release."""
        while b"\n" not in self._read:
            read = os.read(0, 4096)
            if not read:
                return "release"
            self._read += read
        word, _, self._read = self._read.partition(b"\n")
        return word.decode("ascii")


def say(message: dict[str, object]) -> None:
    """Print one line at once."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def is_locked_for(fd: int) -> bool:
    """Try the lock without waiting; True when somebody else has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def take(fd: int) -> None:
    """Wait for the lock; leave when the daemon stops waiting."""
    while is_locked_for(fd):
        if select.select([0], [], [], LOOK_S)[0]:
            sys.exit(0)


def witness(lock: str, log: int, durable: bool) -> None:
    """Look from outside: a second open of the lock file must be refused. Writes nothing, for the disk is frozen."""
    other = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    try:
        shown = is_locked_for(other)
    finally:
        os.close(other)
    status = os.fstat(log)
    say(
        {
            "session": f"flock of process {os.getpid()}",
            "position": {"bytes": str(status.st_size), "inode": str(status.st_ino), "mtime_ns": str(status.st_mtime_ns)},
            "lock_shown": shown,
            "lock_evidence": "a second open of the lock file was " + ("refused the lock" if shown else "given the lock"),
            "durable": durable,
            "durable_evidence": "fsync of the log under the lock" if durable else "no fsync yet",
        }
    )


def hold(lock: str, log: str) -> None:
    """Stay: ready, then one line for every word, until the release or the end of the input."""
    lock_fd, log_fd = (os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in (lock, log))
    os.fsync(log_fd)  # most of what is dirty, before anybody waits
    words, durable = Input(), False
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    word = words.next_word()
    while word != "release":
        if word == "quiesce":
            take(lock_fd)
            # A dead-man of its own: SIGALRM ends this process, should everything else fail to.
            signal.alarm(int(float(os.environ["QUIESCED_HOLD_LIMIT_S"]) + float(os.environ["QUIESCED_ACQUIRE_LIMIT_S"])) + 1)
            os.fsync(log_fd)
            durable = True
        witness(lock, log_fd, durable)
        word = words.next_word()


def main() -> int:
    """Do what the last argument says."""
    lock, log, word = sys.argv[1:]
    if word == "check":
        for path in (lock, log):
            os.close(os.open(path, os.O_RDONLY))
        say({"version": "1", "paths": [{"role": "log", "path": log}, {"role": "lock", "path": lock}]})
    elif word == "quiesce":
        hold(lock, log)
    return 0  # release: the lock went with its process


if __name__ == "__main__":
    sys.exit(main())

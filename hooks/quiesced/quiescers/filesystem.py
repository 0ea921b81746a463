"""Applications that are held by the freeze alone: files that make sense at every instant.

The freeze stops writing, but between any two writes. That is enough where each write is complete by itself (append-only
logs, uploads that are renamed into place), and it tears apart files that must agree with each other. Only their owner
knows which, so the configuration must say it: ``whole_at_any_instant = true``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from quiesced.config import ApplicationConfig
from quiesced.errors import ConfigError, Refused
from quiesced.freeze import Ioctls, LinuxIoctls, shows_frozen
from quiesced.messages import ApplicationWitness, Refusal
from quiesced.quiescers.base import Budget, Report

ENGINE = "filesystem"


def from_config(application: ApplicationConfig) -> FilesystemQuiescer:
    """Read the engine's options: ``paths`` and ``whole_at_any_instant``. Raises ConfigError."""
    options = application.options
    paths = options.get("paths")
    problems = [f"{key}: unknown option" for key in options if key not in ("paths", "whole_at_any_instant")]
    if not (isinstance(paths, list) and paths and all(isinstance(p, str) and p.startswith("/") for p in paths)):
        problems.append("paths: name at least one absolute path")
    if options.get("whole_at_any_instant") is not True:
        problems.append(
            "whole_at_any_instant: must be true, because only a freeze holds these files; "
            "files that must agree with each other need an engine of their own"
        )
    if problems or not isinstance(paths, list):
        raise ConfigError(tuple(f"application {application.name}: {problem}" for problem in problems))
    return FilesystemQuiescer(application.name, tuple(Path(path) for path in paths), LinuxIoctls())


class FilesystemQuiescer:
    """Files below ``paths``, held by the freeze of the filesystems that they lie on."""

    engine = ENGINE

    def __init__(self, name: str, paths: tuple[Path, ...], ioctls: Ioctls) -> None:
        self.name = name
        self._paths = paths
        self._ioctls = ioctls

    def check(self) -> Report:
        """Report every path, and refuse those that do not exist."""
        missing = [path for path in self._paths if not path.exists()]
        return Report(
            version=f"Linux {os.uname().release}",
            paths=tuple(("files", str(path)) for path in self._paths),
            refusals=tuple(
                Refusal("application_unreachable", f"{self.name}: {path} does not exist; create it or correct `paths`")
                for path in missing
            ),
        )

    def prepare(self, budget: Budget, register: Callable[[dict[str, object]], None]) -> FilesystemHold:
        """Open every path. Raises Refused(application_unreachable)."""
        files: list[HeldPath] = []
        try:
            for path in self._paths:
                files.append(HeldPath(path, os.open(path, os.O_RDONLY | os.O_NOATIME | os.O_CLOEXEC)))
        except OSError as error:
            _close(files)
            raise Refused("application_unreachable", f"{self.name}: {error}") from error
        return FilesystemHold(self.name, files, self._ioctls)

    def heal(self, leftover: dict[str, object]) -> None:
        """Undo nothing: the keeper itself thaws what it froze."""


@dataclass(frozen=True)
class HeldPath:
    """A path and a descriptor that keeps naming the same file, whatever is mounted or renamed later."""

    path: Path
    fd: int


class FilesystemHold:
    """A hold that the keeper's freeze brings about; this only observes it."""

    def __init__(self, name: str, files: list[HeldPath], ioctls: Ioctls) -> None:
        self.name = name
        self.leftover: dict[str, object] = {}
        self._files = files
        self._ioctls = ioctls

    def sockets(self) -> tuple[int, ...]:
        """Name no connection: there is none."""
        return ()

    def quiesce(self, budget: Budget) -> None:
        """Do nothing: filesystems freeze after every application holds, and these files hold when they do."""

    def witness(self) -> ApplicationWitness:
        """Observe whether each path's filesystem is frozen, and whether the file itself has changed."""
        thawed = [str(file.path) for file in self._files if not shows_frozen(self._ioctls, file.fd)]
        frozen = not thawed
        shown = "a second freeze was refused with EBUSY on every path; the application itself took no part"
        return ApplicationWitness(
            name=self.name,
            engine=ENGINE,
            session=", ".join(f"{file.path} is inode {os.fstat(file.fd).st_ino}" for file in self._files),
            session_alive=all(_still_there(file) for file in self._files),
            lock_shown=frozen,
            lock_evidence=shown if frozen else f"not frozen: {', '.join(thawed)}; is its disk among those asked for?",
            position={str(file.path): _position(os.fstat(file.fd)) for file in self._files},
            durable=frozen,
            durable_evidence="a freeze writes out all that was written before it (fs/super.c, freeze_super)"
            if frozen
            else "nothing was frozen",
        )

    def release(self) -> None:
        """Close the paths; the keeper thaws."""
        _close(self._files)
        self._files = []


def _position(seen: os.stat_result) -> str:
    return f"{seen.st_size} bytes, changed at {seen.st_ctime_ns} ns"


def _still_there(file: HeldPath) -> bool:
    try:
        there, held = file.path.stat(), os.fstat(file.fd)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)


def _close(files: list[HeldPath]) -> None:
    for file in files:
        os.close(file.fd)

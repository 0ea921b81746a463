"""Who else may read or change a file that the daemon relies on. Whoever can write it decides what the daemon does."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Optional


def private_problem(path: Path) -> Optional[str]:
    """Say why a file is not fit to hold a secret; None when it is."""
    try:
        mode = path.stat().st_mode
        path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return f"cannot be read: {error}"
    return f"others may read it; run chmod 0600 {path}" if mode & 0o007 else tampering_problem(path)


def tampering_problem(path: Path) -> Optional[str]:
    """Say who but root and this user could change a file, itself or by its directory; None when nobody could.

    Symbolic links are followed: the file that counts is the one that is read.
    """
    real = Path(os.path.realpath(path))
    try:
        found = [(place, place.stat()) for place in (real, real.parent)]
    except OSError as error:
        return f"cannot be looked at: {error}"
    for place, status in found:
        if status.st_uid not in (0, os.geteuid()):
            return f"{place} belongs to another user (uid {status.st_uid}); run chown root {place}"
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"others may write {place}; run chmod go-w {place}"
    return None


def program_problem(path: Path) -> Optional[str]:
    """Say why a program may not be run: it is none, or somebody but root and this user could put another in its place.

    Every directory above it counts, of a link and of what it leads to. Where the sticky bit is set, others cannot rename
    what is not theirs.
    """
    real = Path(os.path.realpath(path))
    if not real.is_file() or not os.access(str(real), os.X_OK):
        return "it is not an executable file"
    problem = tampering_problem(path)
    directories = dict.fromkeys((*real.parent.parents, path.parent, *path.parent.parents))
    return problem or next((found for found in map(_directory_problem, directories) if found), None)


def _directory_problem(directory: Path) -> Optional[str]:
    try:
        status = directory.stat()
    except OSError as error:
        return f"cannot be looked at: {error}"
    if status.st_uid not in (0, os.geteuid()):
        return f"{directory} belongs to another user (uid {status.st_uid}); run chown root {directory}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX:
        return f"others may write {directory}; run chmod go-w {directory}"
    return None

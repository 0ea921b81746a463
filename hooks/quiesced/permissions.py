"""Who else may read or change a file that the daemon relies on. Whoever can write it decides what the daemon does."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Optional

from quiesced.words import _, later

_OTHERS = later("{place} belongs to another user (uid {uid}); run chown root {place}")
_WRITABLE = later("others may write {place}; run chmod go-w {place}")


def private_problem(path: Path) -> Optional[str]:
    """Say why a file is not fit to hold a secret; None when it is."""
    try:
        mode = path.stat().st_mode
        path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return _("cannot be read: {error}", error=error)
    return _("others may read it; run chmod 0600 {path}", path=path) if mode & 0o007 else tampering_problem(path)


def tampering_problem(path: Path) -> Optional[str]:
    """Say who but root and this user could change a file, itself or by its directory; None when nobody could.

    Symbolic links are followed: the file that counts is the one that is read.
    """
    real = Path(os.path.realpath(path))
    try:
        found = [(place, place.stat()) for place in (real, real.parent)]
    except OSError as error:
        return _("cannot be looked at: {error}", error=error)
    for place, status in found:
        if status.st_uid not in (0, os.geteuid()):
            return _(_OTHERS, place=place, uid=status.st_uid)
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return _(_WRITABLE, place=place)
    return None


def program_problem(path: Path) -> Optional[str]:
    """Say why a program may not be run: it is none, or somebody but root and this user could put another in its place.

    Every directory above it counts, of a link and of what it leads to. Where the sticky bit is set, others cannot rename
    what is not theirs.
    """
    real = Path(os.path.realpath(path))
    if not real.is_file() or not os.access(str(real), os.X_OK):
        return _("it is not an executable file")
    problem = tampering_problem(path)
    directories = dict.fromkeys((*real.parent.parents, path.parent, *path.parent.parents))
    return problem or next((found for found in map(_directory_problem, directories) if found), None)


def _directory_problem(directory: Path) -> Optional[str]:
    try:
        status = directory.stat()
    except OSError as error:
        return _("cannot be looked at: {error}", error=error)
    if status.st_uid not in (0, os.geteuid()):
        return _(_OTHERS, place=directory, uid=status.st_uid)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX:
        return _(_WRITABLE, place=directory)
    return None

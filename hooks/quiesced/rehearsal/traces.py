"""What a rehearsal keeps on tmpfs while it holds, so that it can be let go of by whoever comes next."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from quiesced.config import Config
from quiesced.keeper import Keeper
from quiesced.place import Place
from quiesced.quiescers.base import Quiescer
from quiesced.state import StateDir

NAME = "rehearsal"


def directory(config: Config) -> Path:
    """Return the state directory of a rehearsal; inside the service's, and apart from what the service keeps."""
    return config.state_dir / NAME


def make(config: Config) -> None:
    """Make it, and give it to whom the service's belongs, so that the service can heal. Raises OSError."""
    directory(config).mkdir(mode=0o700, exist_ok=True)
    owner = config.state_dir.stat()
    os.chown(str(directory(config)), owner.st_uid, owner.st_gid, follow_symlinks=False)


def heal(config: Config, quiescers: Sequence[Quiescer]) -> None:
    """Let go of what a rehearsal left; the place has to be ours. Raises OSError."""
    if StateDir(directory(config)).read_held():
        keeper = Keeper(replace(config, state_dir=directory(config)), quiescers)
        try:
            keeper.heal()
        finally:
            keeper.close()


def remove(config: Config) -> None:
    """Remove it, unless something may still be held; the place has to be ours. Raises OSError."""
    if directory(config).is_dir() and not StateDir(directory(config)).read_held():
        shutil.rmtree(directory(config))


def heal_unless_at_work(config: Config, quiescers: Sequence[Quiescer]) -> None:
    """The same for a daemon that starts: a rehearsal that still runs lets go by itself. Raises OSError."""
    place = Place(config.state_dir)
    if directory(config).is_dir() and place.take():
        try:
            heal(config, quiescers)
        finally:
            place.leave()

"""Machines of their own for the tests of the lab's parts: a state directory that is new and is gone afterwards."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesce_lab import needs
from quiesce_lab.machine import Machine, default_state_dir


def insist_on_real_disks() -> None:
    """Skip the test where the machine cannot have real disks, and say what is missing."""
    look = needs.look()
    if not look.met:
        pytest.skip(f"the lab with real disks needs: {look.reason}")


@contextlib.contextmanager
def new_state_dir() -> Iterator[Path]:
    """A path where nothing is; the test fails when something is left there. Short: sockets lie below it."""
    parent = Path(tempfile.mkdtemp(prefix="qlab-", dir=default_state_dir().parent))
    parent.chmod(0o755)  # the database server runs as a user of its own
    yield parent / "s"
    left = [str(path) for path in parent.iterdir()]
    assert not left, f"the lab left behind {left}, which may have mounts: clean up with quiesce-lab down"
    parent.rmdir()


@contextlib.contextmanager
def new_machine() -> Iterator[Machine]:
    """A machine in a new state directory."""
    with new_state_dir() as state_dir, Machine(state_dir) as machine:
        yield machine

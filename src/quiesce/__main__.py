"""``python -m quiesce`` is the command ``quiesce``."""

from __future__ import annotations

from quiesce.cli import run

run()

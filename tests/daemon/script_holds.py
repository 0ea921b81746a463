"""Scripts on disk for the tests of the script engine, and holds by them."""

from __future__ import annotations

import sys
from pathlib import Path

from quiesced.quiescers.base import Budget
from quiesced.quiescers.script.files import Options
from quiesced.quiescers.script.hold import ScriptHold
from quiesced.quiescers.script.quiescer import ScriptQuiescer
from tests.daemon.scenes import SCENE

EXAMPLES = Path(__file__).parents[2] / "hooks" / "examples"
PLENTY = Budget(lambda: 5.0, 10.0)


def program(path: Path, body: str) -> Path:
    """Write an executable in Python that knows its ``word``, its other ``arguments`` and a ``note`` of calls beside it."""
    head = f"#!{sys.executable} -ISB\nimport json, os, subprocess, sys, time\n*arguments, word = sys.argv[1:]\n"
    note = f"def note(text):\n    with open({str(path) + '.calls'!r}, 'a') as file:\n        file.write(text + '\\n')\n"
    path.write_text(head + note + body)
    path.chmod(0o755)
    return path


def calls(path: Path) -> list[str]:
    """What a program noted."""
    file = Path(f"{path}.calls")
    return file.read_text().splitlines() if file.exists() else []


def quiescer(*command: object, timeout_s: float = 5.0) -> ScriptQuiescer:
    return ScriptQuiescer("queue", Options(tuple(map(str, command)), None, timeout_s))


def directory(path: Path) -> ScriptQuiescer:
    return ScriptQuiescer("queue", Options((), path, 5.0))


def prepare(held: ScriptQuiescer, budget: Budget = PLENTY) -> ScriptHold:
    return held.prepare(budget, SCENE, lambda _: None)


def take(held: ScriptQuiescer) -> ScriptHold:
    hold = prepare(held)
    hold.quiesce(PLENTY)
    return hold

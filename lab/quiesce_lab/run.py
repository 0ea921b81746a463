"""Run one of the machine's own tools, and say in one error what it said."""

from __future__ import annotations

import subprocess
from pathlib import Path

from quiesce_lab.errors import LabError

TOOL_LIMIT_S = 120.0
"""mkfs and database installation take seconds; a tool that takes longer is stuck."""


def run(*arguments: str | Path) -> str:
    """Run a tool to its end and return what it printed. Raises LabError with its own words when it fails."""
    argv = [str(argument) for argument in arguments]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=TOOL_LIMIT_S)
    except FileNotFoundError as error:
        raise LabError(f"{argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{argv[0]} did not end within {TOOL_LIMIT_S:g} s") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabError(f"{' '.join(argv)} failed ({done.returncode}): {said}")
    return done.stdout

"""Running the packages as they run when nothing of this project is installed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

import pytest
from scripts.package_function import find_python


def python_or_skip(version: str) -> str:
    """An interpreter of this version; skips the test where there is none."""
    found = find_python(version)
    if found is None:
        pytest.skip(f"no Python {version} here")
    return found


def run_bare(*command: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run with a PATH and these variables in the environment, and nothing else: no PYTHONPATH, no home."""
    environment = {"PATH": os.defpath, "HOME": "/nonexistent", **(variables or {})}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)

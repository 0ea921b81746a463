"""Starting the processes of a rehearsal: they run the code that this one runs, unpacked or from a zipapp."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True)
class Process:
    """A process of ours and the two pipes to it."""

    popen: subprocess.Popen[str]
    input: IO[str]
    output: IO[str]


def start(module: str, arguments: Sequence[object], *, drivers: bool) -> Process:
    """Start ``main(arguments)`` of a module of ours, with pipes for input and output. Raises OSError.

    Nothing comes from the environment (-I). Without ``drivers`` nothing comes from outside this program and the standard
    library (-S), and there is no standard error: a process that cannot end would keep it open for whoever reads it.
    The working directory is / so that it keeps no disk busy, and the session its own, so that an interrupt at the
    terminal reaches this process alone, which then lets go in order.
    """
    home = str(Path(__file__).parent.parent.parent)
    code = f"import sys; sys.path.insert(0, {home!r}); from {module} import main; main({list(map(str, arguments))!r})"
    popen = subprocess.Popen(
        [sys.executable, "-I", *(("-S",) if sys.flags.no_site or not drivers else ()), "-B", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if drivers else subprocess.DEVNULL,
        text=True,
        cwd=os.sep,
        start_new_session=True,
    )
    if popen.stdin is None or popen.stdout is None:
        raise OSError("a process was started without pipes")
    return Process(popen, popen.stdin, popen.stdout)

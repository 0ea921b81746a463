"""Running the function as SCF does: a fresh process, SCF's variables and context, a memory and a time limit.

What SCF is like: facts of its documentation (environment variables, execution context, status codes). A process that
exceeds a limit is killed, and nothing of it runs on: no ``finally``, no exit handler.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OK, RAISED, TIMED_OUT, OUT_OF_MEMORY, EXITED = 200, 430, 433, 434, 439
"""Status codes of SCF."""
_WATCH_S = 0.05
_RUNNER = """
import _thread, json, os, signal, traceback
given = json.loads(open(0, closefd=False).readline())
_thread.start_new_thread(lambda: os.read(0, 1) or os.kill(os.getpid(), signal.SIGKILL), ())
try:
    import index
    answer = {"value": index.main_handler(given["event"], given["context"])}
except Exception:
    answer = {"error": traceback.format_exc()}
with open(given["answer_fd"], "w") as out:
    json.dump(answer, out)
"""
"""What stands for SCF's own runtime. Standard input stays open for as long as the lab lives: a lab that is killed leaves
nothing running."""


@dataclass(frozen=True)
class Invoked:
    """How one invocation ended. ``value`` is what the handler returned, ``error`` its traceback."""

    status: int
    value: Any
    error: str
    log: tuple[str, ...]
    duration_s: float
    peak_rss_mib: float

    @property
    def steps(self) -> tuple[dict[str, Any], ...]:
        """Log lines that are JSON objects, as CLS would index them."""
        return tuple(json.loads(line) for line in self.log if line.startswith("{"))


@dataclass(frozen=True)
class Function:
    """A deployed function. ``environment`` are its own variables, ``packages`` the layer with its dependencies."""

    code_dir: Path
    environment: Mapping[str, str]
    packages: tuple[Path, ...]
    secret_id: str
    secret_key: str
    region: str
    python: str = sys.executable
    memory_mib: int = 256
    time_limit_s: float = 300.0

    def start(self, event: object) -> Invocation:
        """Begin an invocation in a process of its own."""
        return Invocation(self, event)

    def invoke(self, event: object) -> Invoked:
        """Run one invocation to its end."""
        return self.start(event).wait()

    def variables(self) -> dict[str, str]:
        """Everything that the process finds in its environment (SCF documentation, environment variables)."""
        path = os.pathsep.join(map(str, (self.code_dir, *self.packages)))
        return {
            "TENCENTCLOUD_RUNENV": "SCF",
            "TENCENTCLOUD_SECRETID": self.secret_id,
            "TENCENTCLOUD_SECRETKEY": self.secret_key,
            "TENCENTCLOUD_REGION": self.region,
            "TENCENTCLOUD_TZ": "UTC",
            "SCF_RUNTIME": "Python3.10",
            "SCF_FUNCTIONNAME": "quiesce",
            "SCF_FUNCTIONVERSION": "$LATEST",
            "USER_CODE_ROOT": f"{self.code_dir}/",
            "PYTHONPATH": path,
            "PYTHONDONTWRITEBYTECODE": "x",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/nonexistent",
            "LANG": "en_US.UTF8",
            "LC_ALL": "C.UTF-8",
            **self.environment,
        }


class Invocation:
    """One invocation that is under way. It can be killed at any moment, as SCF does."""

    def __init__(self, function: Function, event: object) -> None:
        self._function = function
        self._started_s = time.monotonic()
        self._status = OK
        self._peak_mib = 0.0
        self._answer: bytes = b""
        self._lines: list[str] = []
        answer_fd, theirs = os.pipe()
        self._process = subprocess.Popen(
            [function.python, "-S", "-c", _RUNNER],  # -S: what is installed for development is not there
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=function.code_dir,
            env=function.variables(),
            pass_fds=[theirs],
            start_new_session=True,
        )
        os.close(theirs)
        self._threads = [
            threading.Thread(target=self._read_answer, args=(answer_fd,), daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
            threading.Thread(target=self._watch, daemon=True),
        ]
        self._send({"event": event, "context": self._context(), "answer_fd": theirs})
        for thread in self._threads:
            thread.start()

    @property
    def lines(self) -> tuple[str, ...]:
        """What it has logged so far."""
        return tuple(self._lines)

    @property
    def running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.poll() is None

    def kill(self, status: int = EXITED) -> None:
        """End the process at once."""
        if self._process.poll() is None:
            self._status = status
            self._process.send_signal(signal.SIGKILL)

    def wait(self) -> Invoked:
        """Wait for the end. The limits see to it that there is one."""
        self._process.wait()
        for thread in self._threads:
            thread.join()
        assert self._process.stdin is not None
        self._process.stdin.close()
        answer = json.loads(self._answer) if self._answer and self._status == OK else {}
        status = self._status if self._status != OK or "value" in answer else RAISED if answer else EXITED
        return Invoked(
            status=status,
            value=answer.get("value"),
            error=answer.get("error", ""),
            log=self.lines,
            duration_s=time.monotonic() - self._started_s,
            peak_rss_mib=self._peak_mib,
        )

    def _context(self) -> dict[str, object]:
        """Keys of SCF's context (SCF documentation, basic concepts)."""
        return {
            "memory_limit_in_mb": self._function.memory_mib,
            "time_limit_in_ms": round(self._function.time_limit_s * 1000),
            "request_id": str(uuid.uuid4()),
            "environment": '{"SCF_NAMESPACE":"default"}',
            "environ": "SCF_NAMESPACE=default;SCF_NAMESPACE=default",
            "function_version": "$LATEST",
            "function_name": "quiesce",
            "namespace": "default",
            "tencentcloud_region": self._function.region,
            "tencentcloud_appid": "1250000000",
            "tencentcloud_uin": "100000000001",
        }

    def _send(self, given: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(given).encode() + b"\n")
        self._process.stdin.flush()

    def _read_answer(self, fd: int) -> None:
        with open(fd, "rb") as answer:
            self._answer = answer.read()

    def _read_log(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            for line in stdout:
                self._lines.append(line.decode(errors="replace").rstrip("\n"))

    def _watch(self) -> None:
        """Enforce both limits, as SCF's status codes 433 and 434 say."""
        while self._process.poll() is None:
            self._peak_mib = max(self._peak_mib, _peak_rss_mib(self._process.pid))
            if self._peak_mib > self._function.memory_mib:
                self.kill(OUT_OF_MEMORY)
            elif time.monotonic() - self._started_s > self._function.time_limit_s:
                self.kill(TIMED_OUT)
            time.sleep(_WATCH_S)


def _peak_rss_mib(pid: int) -> float:
    """Most memory that a process has had in use (proc_pid_status(5), VmHWM), so that no peak falls between two looks."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)

"""Instances that TAT reaches: a directory each, in which commands really run."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class DirectoryShell:
    """Runs scripts as TAT's agent does, from a file and by sh, with the instance's directory in place of ``/``.

    ``scripts`` is what came; ``environment`` is added to what they run in.
    """

    directory: Path
    scripts: list[bytes] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, script: bytes, *, directory: str, timeout_s: float) -> tuple[int | None, bytes]:
        self.scripts.append(script)
        place = self.directory / directory.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        file = self.directory / f"command-{len(self.scripts)}-{os.urandom(4).hex()}.sh"
        file.write_bytes(script)
        try:
            done = subprocess.run(
                ["sh", str(file)],
                cwd=place,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            return None, expired.stdout or b""
        finally:
            file.unlink()
        return done.returncode, done.stdout

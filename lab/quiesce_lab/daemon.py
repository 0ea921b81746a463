"""The hook daemon of one instance, started as its service starts it: ``python -I -B -m quiesced serve --config ...``."""

from __future__ import annotations

import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from quiesce_lab.deployment import HOOK_PORT, Secrets
from quiesce_lab.errors import LabError
from quiesce_lab.host import Host
from quiesce_lab.processes import Command, Process

HOOKS = Path(__file__).resolve().parents[2] / "hooks"
START_LIMIT_S = 20.0
NICE = -15
"""As the unit has it (hooks/quiesced.service); without the right to, nice(1) says so and starts the daemon all the same."""


@dataclass
class Daemon:
    """One daemon with a configuration of its own. Methods raise LabError."""

    host: Host
    config: Path
    log: Path
    python: str = sys.executable
    program: tuple[str, ...] = ("-B", "-m", "quiesced")
    _process: Process | None = None

    def start(self) -> None:
        """Start it and wait until it answers over TLS."""
        env = {**os.environ, "PYTHONPATH": str(HOOKS), "PYTHONDONTWRITEBYTECODE": "1"}
        argv: list[str | Path] = ["nice", "-n", str(NICE), self.python, *self.program, "serve", "--config", self.config]
        self._process = self.host.site.machine.start(Command("quiesced", argv, self.log, env=env))
        give_up_at = time.monotonic() + START_LIMIT_S
        while not self.answers():
            if not self._process.running or time.monotonic() > give_up_at:
                raise LabError(f"quiesced does not start: {self.log.read_text(errors='replace')[-800:]}")
            time.sleep(0.02)

    @property
    def process(self) -> Process:
        """The running process. Raises LabError before ``start``."""
        if self._process is None:
            raise LabError("quiesced has not been started")
        return self._process

    def stop(self) -> None:
        """End it in order."""
        self.process.terminate()
        self.process.wait(START_LIMIT_S)

    def answers(self) -> bool:
        """Whether /healthz is answered."""
        context = ssl.create_default_context(cafile=str(self.host.site.authority.ca_pem))
        try:
            with urllib.request.urlopen(
                f"https://{self.host.address}:{HOOK_PORT}/healthz", context=context, timeout=2
            ) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def install(host: Host, shared: Secrets, settings: str = "") -> Daemon:
    """Write configuration, key and certificate for the host's applications; does not start anything."""
    etc = host.site.machine.directory("instances", host.instance.instance_id, "etc")
    key = etc / "hook.key"
    key.touch(mode=0o600)
    key.write_text(shared.hook_secret)
    chain, private_key = host.site.authority.issue(host.address)
    state = host.instance.run_dir / "quiesced"
    state.mkdir(mode=0o700, exist_ok=True)
    config = etc / "quiesced.toml"
    config.write_text(
        f"""disk_by_id_dir = "{host.instance.by_id_dir}"
state_dir = "{state}"
{settings}

[listen]
host = "{host.address}"
port = {HOOK_PORT}
certificate = "{chain}"
private_key = "{private_key}"

[keys]
{shared.hook_key_id} = "{key}"

[limits]
acquire_limit_s = 10
hold_limit_s = 60

"""
        + "\n".join(application.daemon_table() for application in host.applications)
    )
    return Daemon(host, config, host.instance.log_dir / "quiesced.log")

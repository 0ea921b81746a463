"""An operator who installs quiesced on the lab's instances, through TAT."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from quiesce.commands.agent import agent
from quiesce.deployment import tat
from tests.lab.cloud_world import Lab, running_lab
from tests.lab.deployments import ROOT, account_env
from tests.lab.estates import items_of
from tests.lab.shells import DirectoryShell

HOOKS = ROOT / "hooks"
STAGED = "staged"


@dataclass
class Desk:
    """An operator who installs on the lab's instances."""

    lab: Lab
    directory: Path
    shells: dict[str, DirectoryShell] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.archive.write_bytes(b"the program " * 7_000)

    @property
    def archive(self) -> Path:
        return self.directory / "quiesced.pyz"

    @property
    def keys(self) -> Path:
        return self.directory / "keys"

    def add(self, instance_id: str, address: str, **settings: Any) -> None:
        """An instance with the tag and an agent of TAT; ``settings`` are the agent's."""
        self.lab.cloud.world.add_instance(instance_id, address, {"quiesce": "yes"})
        self.shells[instance_id] = DirectoryShell(self.directory / instance_id)
        self.lab.cloud.world.add_automation_agent(instance_id, self.shells[instance_id], **settings)

    def runs(self, command: str, *options: str, whom: tuple[str, ...] = ("--tag", "quiesce=yes")) -> Result:
        arguments = [command, *whom, "--archive", str(self.archive), "--root", STAGED, *options]
        return CliRunner().invoke(agent, arguments, env=account_env(self.lab))

    def installs(self, *options: str, whom: tuple[str, ...] = ("--tag", "quiesce=yes")) -> Result:
        return self.runs("install", "--keys", str(self.keys), "--hooks", str(HOOKS), *options, whom=whom)

    def root(self, instance_id: str) -> Path:
        """What is ``/`` of an instance's installation."""
        return self.shells[instance_id].directory / "root" / STAGED

    def etc(self, instance_id: str) -> Path:
        return self.root(instance_id) / "etc/quiesced"

    def history(self) -> str:
        """Everything that TAT shows of what ran, decoded."""
        invocations = self.lab.call("tat", "DescribeInvocations", {"Limit": 100})["InvocationSet"]
        tasks = self.lab.call("tat", "DescribeInvocationTasks", {"Limit": 100, "HideOutput": False})["InvocationTaskSet"]
        encoded = [one["CommandContent"] for one in invocations]
        encoded += [one["TaskResult"]["Output"] for one in tasks] + [one["CommandDocument"]["Content"] for one in tasks]
        decoded = "".join(base64.b64decode(one).decode(errors="replace") for one in encoded)
        return decoded + json.dumps([invocations, tasks])

    def secret(self) -> str:
        return (self.keys / "hook-key").read_text().strip().partition(":")[2]


def rows(result: Result) -> dict[str, dict[str, str]]:
    return {row["instance_id"]: row for row in items_of(result.stdout)}


def modes(directory: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [directory, *directory.rglob("*")]}


@contextmanager
def at_a_desk(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Two instances of the lab's; TAT is asked as often as one likes."""
    monkeypatch.setattr(tat, "POLL_S", 0.05)
    monkeypatch.setattr(tat, "SEND_EVERY_S", 0.0)
    with running_lab(directory) as lab:
        lab.cloud.settings.rate_limit = {"RunCommand": 1000, "DescribeInvocationTasks": 1000}
        desk = Desk(lab, directory)
        desk.add("ins-b", "127.0.0.1")
        desk.add("ins-c", "10.0.0.6")
        yield desk

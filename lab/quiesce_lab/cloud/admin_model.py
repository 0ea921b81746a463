"""What an account has beside disks: functions with triggers (SCF), roles with policies (CAM), commands that ran (TAT)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from quiesce_lab.ports import Shell


@dataclass
class Policy:
    """A policy of the account's own."""

    policy_id: int
    name: str
    document: dict[str, Any]
    description: str
    changed_s: float


@dataclass
class Role:
    """A role, and the ids of the policies that it has."""

    role_id: str
    name: str
    document: dict[str, Any]
    description: str
    changed_s: float
    policies: list[int] = field(default_factory=list)


@dataclass
class Trigger:
    """One trigger of a function. ``desc`` is what it was made with, as JSON."""

    name: str
    kind: str
    desc: dict[str, Any]
    qualifier: str
    enabled: bool
    argument: str
    changed_s: float


@dataclass
class DeployedFunction:
    """A function and all that was set on it."""

    name: str
    namespace: str
    handler: str
    runtime: str
    code: bytes
    settings: dict[str, Any]
    changed_s: float
    active_from_s: float
    status: str = "Creating"
    triggers: dict[tuple[str, str], Trigger] = field(default_factory=dict)
    """By kind and name."""
    retries: int = 2
    kept_s: int = 21600

    def state(self, now_s: float) -> str:
        """``Active`` once the last change is through; a status that a test pinned stays."""
        busy = self.status in ("Creating", "Updating")
        return "Active" if busy and now_s >= self.active_from_s else self.status


@dataclass
class AutomationAgent:
    """TAT's agent on an instance; ``shell`` runs what it is sent."""

    instance_id: str
    shell: Shell
    online: bool = True
    environment: str = "Linux"
    seen_s: float = 0.0


@dataclass
class Task:
    """A command on one instance."""

    task_id: str
    instance_id: str
    status: str = "PENDING"
    exit_code: int = 0
    output: bytes = b""
    began_s: float | None = None
    ended_s: float | None = None


@dataclass
class Invocation:
    """A command that was run, as it is kept."""

    invocation_id: str
    command_id: str
    name: str
    content: str
    user: str
    directory: str
    timeout_s: int
    created_s: float
    tasks: list[Task] = field(default_factory=list)

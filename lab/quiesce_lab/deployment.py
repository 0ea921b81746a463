"""The function as an operator deploys it: src/ as it lies, a policy file, the hooks' authority, and its variables."""

from __future__ import annotations

import secrets
import shutil
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from quiesce_lab.machine import Machine
from quiesce_lab.scf import Function
from quiesce_lab.site import Site

SOURCE = Path(__file__).resolve().parents[2] / "src"
HOOK_PORT = 9443
POLICY = "nightly"


@dataclass(frozen=True)
class Secrets:
    """What the function shares with the daemons and with its callers, made anew for each lab."""

    hook_key_id: str = "lab"
    hook_secret: str = field(default_factory=lambda: secrets.token_hex(32))
    http_secret: str = field(default_factory=lambda: secrets.token_hex(32))
    certificate_secret: str = field(default_factory=lambda: secrets.token_hex(32))


def policy_text(instance_id: str, **changes: str) -> str:
    """Write a policy file with one policy for one instance; ``changes`` are TOML values that replace the defaults."""
    keys = {
        "level": '"application"',
        "on_quiesce_failure": '"fail"',
        "acquire_limit_s": "2.0",
        "hold_limit_s": "10.0",
        "hold_until": '"accepted"',
        "expire_after_days": "7",
        **changes,
    }
    lines = [f"[policies.{POLICY}]", *(f"{key} = {value}" for key, value in keys.items())]
    return "\n".join([*lines, f"[policies.{POLICY}.targets]", f'instances = ["{instance_id}"]', ""])


def timer_event(policy: str = POLICY, at: datetime | None = None) -> dict[str, object]:
    """Make the event that SCF's timer trigger sends (SCF documentation, timer trigger)."""
    moment = at or datetime.now(timezone.utc)
    time = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"Type": "Timer", "TriggerName": "nightly", "Time": time, "Message": policy}


def lay_out(machine: Machine, site: Site, policies: str, name: str = "function") -> Path:
    """Copy src/ as it lies, with the policy file and the hooks' authority; returns the folder."""
    code = machine.directory(name) / "code"
    shutil.rmtree(code, ignore_errors=True)
    shutil.copytree(SOURCE, code, ignore=shutil.ignore_patterns("__pycache__"))
    (code / "policies.toml").write_text(policies)
    shutil.copy(site.authority.ca_pem, code / "hook-ca.pem")
    return code


def deploy(machine: Machine, site: Site, shared: Secrets, policies: str, more: Mapping[str, str]) -> Function:
    """Deploy the function into the lab, with this Python's packages as its layer and ``more`` variables."""
    return Function(
        code_dir=lay_out(machine, site, policies),
        environment={**variables(site, shared), **more},
        packages=(Path(sysconfig.get_paths()["purelib"]),),
        secret_id=site.secret_id,
        secret_key=site.secret_key,
        region=site.region,
    )


def variables(site: Site, shared: Secrets) -> Mapping[str, str]:
    """The function's own environment variables."""
    return {
        "QUIESCE_HOOK_PORT": str(HOOK_PORT),
        "QUIESCE_HOOK_KEY": f"{shared.hook_key_id}:{shared.hook_secret}",
        "QUIESCE_HOOK_CA": "hook-ca.pem",
        "QUIESCE_HTTP_KEY": shared.http_secret,
        "QUIESCE_CERTIFICATE_KEY": f"lab:{shared.certificate_secret}",
        "QUIESCE_CLOUD_ENDPOINT": site.endpoint,
        "QUIESCE_CLOUD_CA": str(site.authority.ca_pem),
    }

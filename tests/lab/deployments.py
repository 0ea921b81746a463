"""A function's package and deployment file, and the command that deploys them to the lab's cloud."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from quiesce.commands.deploy import deploy
from quiesce_lab.cloud.admin_model import DeployedFunction, Role, Trigger
from tests.lab.cloud_world import REGION, SECRET_ID, SECRET_KEY, TOKEN, Lab
from tests.lab.estates import items_of

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / "deploy" / "cam-policy.json"
EXAMPLE = ROOT / "deploy" / "deployment.example.toml"
HOOK_KEY, CERTIFICATE_KEY = "2026-11:" + "h" * 32, "c1:" + "c" * 32
SECRETS = {"QUIESCE_HOOK_KEY": HOOK_KEY, "QUIESCE_CERTIFICATE_KEY": CERTIFICATE_KEY}


def account_env(lab: Lab) -> dict[str, str | None]:
    """The environment of an operator with a key of the lab's account, and no secret of the function."""
    return {
        "TENCENTCLOUD_SECRETID": SECRET_ID,
        "TENCENTCLOUD_SECRETKEY": SECRET_KEY,
        "TENCENTCLOUD_SESSIONTOKEN": TOKEN,
        "QUIESCE_REGION": REGION,
        "QUIESCE_CLOUD_ENDPOINT": lab.endpoint,
        "QUIESCE_CLOUD_CA": str(lab.ca_file),
        **dict.fromkeys(("QUIESCE_HOOK_KEY", "QUIESCE_CERTIFICATE_KEY", "QUIESCE_HTTP_KEY")),
    }


@dataclass
class Operator:
    """Somebody at a desk, with files in ``desk`` and a shell whose environment is ``env``."""

    lab: Lab
    desk: Path
    env: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.env = {**account_env(self.lab), **SECRETS}
        self.file.write_text(EXAMPLE.read_text())
        self.pack("first")

    @property
    def file(self) -> Path:
        return self.desk / "deployment.toml"

    @property
    def package(self) -> Path:
        return self.desk / "function.zip"

    def pack(self, content: str, files: Mapping[str, str] | None = None) -> None:
        """Make the function's package; ``files`` are put in place of what a real one has."""
        real = {
            "index.py": f"# {content}",
            "hook-ca.pem": "a certificate",
            "policies.toml": (ROOT / "src" / "policies.toml").read_text(),
        }
        with zipfile.ZipFile(self.package, "w") as opened:
            for name, text in (real if files is None else files).items():
                opened.writestr(name, text)

    def edit(self, old: str, new: str) -> None:
        """Change the deployment file; the text to change must be in it."""
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def deploys(self, *options: str) -> Result:
        files = ["--deployment", str(self.file), "--package", str(self.package), "--cam-policy", str(POLICY)]
        return CliRunner().invoke(deploy, [*files, *options], env=self.env)

    def deploys_first(self) -> None:
        result = self.deploys("--secrets-in-environment")
        assert result.exit_code == 0, result.output

    def sees(self, *options: str) -> list[dict[str, str]]:
        """What a dry run says is left to do."""
        result = self.deploys("--dry-run", "--output", "json", *options)
        assert result.exit_code == 0, result.output
        steps: list[dict[str, str]] = items_of(result.stdout)
        return steps

    @property
    def function(self) -> DeployedFunction:
        return self.lab.cloud.world.estate().deployed["quiesce"]

    @property
    def role(self) -> Role:
        return self.lab.cloud.world.estate().roles["quiesce-function"]

    def trigger(self, name: str) -> Trigger:
        return next(one for one in self.function.triggers.values() if one.name == name)

    @property
    def variables(self) -> dict[str, str]:
        return {one["Key"]: one["Value"] for one in self.function.settings["Environment"]["Variables"]}

    def state(self) -> tuple[Any, ...]:
        """Everything that a deployment made."""
        estate = self.lab.cloud.world.estate()
        made: tuple[Mapping[Any, Any], ...] = (estate.deployed, estate.roles, estate.policies)
        return tuple(repr(sorted(part.items())) for part in made)


Drift = Callable[[Operator], None]

READS = ("GetFunction", "GetFunctionAddress", "GetFunctionEventInvokeConfig", "GetRole", "GetPolicy")
LISTS = ("ListTriggers", "ListPolicies", "ListAttachedRolePolicies")


def changing(operator: Operator) -> list[str]:
    """Calls that reached the cloud and could have changed something."""
    return [call.action for call in operator.lab.cloud.record.calls if call.action not in READS + LISTS]


def put_variable(operator: Operator, name: str, value: str) -> None:
    """Set a variable of the function behind the command's back; an empty value takes it away."""
    variables = {**operator.variables, name: value}
    listed = [{"Key": key, "Value": text} for key, text in variables.items() if text]
    operator.function.settings["Environment"] = {"Variables": listed}

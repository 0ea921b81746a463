"""The function's code as it is uploaded, and what can be known to be wrong with it before that."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from quiesce import policies, request
from quiesce.deployment.spec import Deployment
from quiesce.errors import DeploymentError, PolicyError
from quiesce.words import _

HANDLER = "index.main_handler"
RUNTIME = "Python3.10"
MAX_INLINE_BYTES = 7_500_000
"""A signed request is at most 10 MB, and base64 takes a third more (API 3.0, request structure)."""


@dataclass(frozen=True)
class Code:
    """A package; ``sha256`` is in hex, of the zip file as a whole."""

    content: bytes = field(repr=False)
    sha256: str


def read(path: Path, spec: Deployment) -> Code:
    """Read a package and see that it can be what the deployment file wants; raises DeploymentError."""
    try:
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            problems = _problems(opened, spec)
    except (OSError, zipfile.BadZipFile) as error:
        raise DeploymentError(_("{path}: {error}; `make package` builds it", path=path, error=error)) from error
    if len(content) > MAX_INLINE_BYTES:
        problems.append(
            _("{count:,} bytes do not fit into one request; deploy it with serverless.yml, through COS", count=len(content))
        )
    if problems:
        raise DeploymentError("; ".join(f"{path}: {problem}" for problem in problems))
    return Code(content, hashlib.sha256(content).hexdigest())


def _problems(opened: zipfile.ZipFile, spec: Deployment) -> list[str]:
    names = set(opened.namelist())
    files = {"index.py": _("the handler")}
    for variable in ("QUIESCE_HOOK_CA", "QUIESCE_HOOK_CLIENT_CERTIFICATE", "QUIESCE_HOOK_CLIENT_KEY"):
        value = spec.variables.get(variable, "")
        if value and not value.startswith("/"):
            files[value] = _("{variable}; put it beside src/index.py before `make package`", variable=variable)
    policy_file = spec.variables.get("QUIESCE_POLICIES", "policies.toml")
    problems = [
        _("there is no {name} in it, which is {why}", name=name, why=why) for name, why in files.items() if name not in names
    ]
    if policy_file.startswith("/"):
        return problems
    if policy_file not in names:
        return [*problems, _("there is no {policy_file} in it, which is the policy file", policy_file=policy_file)]
    try:
        known = policies.parse(opened.read(policy_file).decode())
    except (PolicyError, UnicodeDecodeError) as error:
        return [*problems, f"{policy_file}: {error}"]
    return problems + [
        _(
            "timer {name} runs the policy {policy!r}, which {policy_file} does not have",
            name=timer.name,
            policy=timer.policy,
            policy_file=policy_file,
        )
        for timer in spec.timers
        if timer.policy != request.FOLLOW_UP and timer.policy not in known
    ]

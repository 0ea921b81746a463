"""The deployment file: what the function is to be (deploy/deployment.example.toml shows every key)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from quiesce.errors import DeploymentError
from quiesce.words import _

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SECRETS = ("QUIESCE_HOOK_KEY", "QUIESCE_CERTIFICATE_KEY", "QUIESCE_HTTP_KEY")
"""Variables that are never written in a file."""
NEEDED = ("QUIESCE_HOOK_KEY", "QUIESCE_CERTIFICATE_KEY")
ENVIRONMENT_LIMIT_BYTES = 4096
"""All variables of a function together (SCF documentation, quotas)."""
_RESERVED = ("SCF_", "QCLOUD_", "TENCENTCLOUD_")
_VARIABLE = re.compile(r"[A-Za-z]\w*", re.ASCII)
_CRON_FIELDS = 7

TriggerName = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,59}$")]
CamName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+=,.@_-]{1,128}$")]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the file's tables: a key that is not known is refused."""


class Network(Table, frozen=True):
    """Where the function's address is. ``public``: the way to the API of CBS, which a VPC alone does not give."""

    vpc_id: Annotated[str, Meta(pattern=r"^vpc-[a-z0-9]+$")]
    subnet_id: Annotated[str, Meta(pattern=r"^subnet-[a-z0-9]+$")]
    public: bool = True


class Logs(Table, frozen=True):
    """The CLS topic that the function's output goes to."""

    logset_id: Annotated[str, Meta(min_length=1)]
    topic_id: Annotated[str, Meta(min_length=1)]


class Url(Table, frozen=True):
    """The function URL; callers are checked by CAM. With both nets off nobody would reach it."""

    name: TriggerName = "on-demand"
    intranet: bool = True
    extranet: bool = False


class Retries(Table, frozen=True):
    """What SCF does with an asynchronous event that ended in an error: how often again, and for how long at most."""

    times: Annotated[int, Meta(ge=0, le=2)] = 2
    kept_s: Annotated[int, Meta(ge=60, le=21600)] = 21600


class Timer(Table, frozen=True):
    """When a policy runs. ``cron``: second minute hour day month weekday year; ``policy`` may be ``@follow-up``."""

    name: TriggerName
    cron: str
    policy: Annotated[str, Meta(min_length=1, max_length=60)]


class Deployment(Table, frozen=True):
    """The function with all that belongs to it."""

    network: Network
    timers: Annotated[tuple[Timer, ...], Meta(min_length=1, max_length=10)] = msgspec.field(name="timer")
    logs: Logs | None = None
    url: Url | None = None
    retries: Retries = Retries()
    environment: Mapping[str, str] = {}
    function: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,58}[A-Za-z0-9]$")] = "quiesce"
    namespace: Annotated[str, Meta(min_length=1)] = "default"
    role: CamName = "quiesce-function"
    cam_policy: CamName = "quiesce-function"
    memory_mib: Annotated[int, Meta(ge=128, le=3072, multiple_of=128)] = 256
    timeout_s: Annotated[int, Meta(ge=30, le=900)] = 300
    init_timeout_s: Annotated[int, Meta(ge=3, le=300)] = 30

    @property
    def variables(self) -> dict[str, str]:
        """The function's variables that are no secrets. With a URL, CAM has checked the caller before the function runs."""
        return {**({"QUIESCE_HTTP_AUTH": "cam"} if self.url else {}), **self.environment}


def load(path: Path) -> Deployment:
    """Read the file; raises DeploymentError that says what is wrong with it."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), type=Deployment)
    except (OSError, UnicodeDecodeError) as error:
        raise DeploymentError(_("cannot read {path}: {error}", path=path, error=error)) from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise DeploymentError(f"{path}: {error}") from error
    problems = [*_wrong_timers(found), *_wrong_variables(found.variables), *_wrong_url(found)]
    if problems:
        raise DeploymentError("; ".join(f"{path}: {problem}" for problem in problems))
    return found


def _wrong_timers(found: Deployment) -> Iterator[str]:
    names = [timer.name for timer in found.timers]
    for timer in found.timers:
        if len(timer.cron.split()) != _CRON_FIELDS:
            yield _(
                "timer {name}: cron needs {cron_fields} fields, second minute hour day month weekday year",
                name=timer.name,
                cron_fields=_CRON_FIELDS,
            )
        if names.count(timer.name) > 1:
            yield _("timer {name}: the name is taken", name=timer.name)


def _wrong_variables(variables: Mapping[str, str]) -> Iterator[str]:
    for name, value in variables.items():
        if name in SECRETS:
            yield _("environment.{name}: a secret does not belong in a file; set it in your own environment", name=name)
        elif not _VARIABLE.fullmatch(name) or name.startswith(_RESERVED):
            yield _(
                "environment.{name}: SCF takes letters, digits and _, and keeps {reserved} for itself",
                name=name,
                reserved=", ".join(_RESERVED),
            )
        elif not value:
            yield _("environment.{name}: SCF takes no empty value; leave it out", name=name)
    if "QUIESCE_HOOK_CA" not in variables:
        yield _("environment.QUIESCE_HOOK_CA: missing; name the CA file of the hooks as it lies in the package")


def _wrong_url(found: Deployment) -> Iterator[str]:
    if found.url is None:
        return
    if not (found.url.intranet or found.url.extranet):
        yield _("url: with intranet and extranet off nobody reaches it")
    if found.variables["QUIESCE_HTTP_AUTH"] != "cam":
        yield _("environment.QUIESCE_HTTP_AUTH: the URL asks CAM for its callers, so it is cam; leave it out")


def size_problem(variables: Mapping[str, str]) -> str | None:
    """Say so when all variables together are more than SCF takes."""
    size = sum(len(name) + len(value.encode()) for name, value in variables.items())
    return (
        None
        if size < ENVIRONMENT_LIMIT_BYTES
        else _("the environment is {size} bytes; SCF takes fewer than 4096", size=size)
    )

"""The function itself: its code, its settings, and what SCF does with events that end in an error.

Which code is there is told by two digests in the function's description: that of the package, and that by which SCF itself
answered GetFunctionAddress afterwards. SCF does not say that its digest is the package's; this way it need not be, and code
that somebody else put there shows all the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from quiesce.adapters.tencent import Answer, Api
from quiesce.deployment.archive import HANDLER, RUNTIME, Code
from quiesce.deployment.spec import NEEDED, SECRETS, Deployment, size_problem
from quiesce.deployment.steps import SCF, Step
from quiesce.errors import CloudError, DeploymentError
from quiesce.variables import MIN_SECRET
from quiesce.words import _, later

_DIGEST_LENGTH = 32
NOWHERE_ELSE = later(
    "SCF keeps environment variables as plain text, which everyone reads who may call scf:GetFunction. Its documentation "
    "names no protected kind of variable, and the function reads its secrets from the environment alone: there is no other "
    "place for them. Grant scf:GetFunction sparingly (docs/security.md), then say --secrets-in-environment"
)
_KEY = re.compile(rf"[A-Za-z0-9_.-]{{1,64}}:.{{{MIN_SECRET},}}")
"""As settings.py reads it."""


class _Variable(Answer, frozen=True):
    key: str
    value: str


class _Environment(Answer, frozen=True):
    variables: tuple[_Variable, ...] | None = None


class _Vpc(Answer, frozen=True):
    vpc_id: str | None = None
    subnet_id: str | None = None


class _PublicNet(Answer, frozen=True):
    public_net_status: str | None = None


class Found(Answer, frozen=True):
    """What GetFunction says of the function."""

    status: str | None = None
    status_desc: str | None = None
    handler: str | None = None
    runtime: str | None = None
    description: str | None = None
    memory_size: int | None = None
    timeout: int | None = None
    init_timeout: int | None = None
    role: str | None = None
    environment: _Environment | None = None
    vpc_config: _Vpc | None = None
    public_net_config: _PublicNet | None = None
    cls_logset_id: str | None = None
    cls_topic_id: str | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The environment, secrets included."""
        return {one.key: one.value for one in (self.environment and self.environment.variables) or ()}


class _Address(Answer, frozen=True):
    code_sha256: str | None = None


class _Retry(Answer, frozen=True):
    retry_num: int | None = None


class _Async(Answer, frozen=True, rename={"msg_ttl": "MsgTTL", "retry_config": "RetryConfig"}):
    retry_config: tuple[_Retry, ...] | None = None
    msg_ttl: int | None = None


class _AsyncConfig(Answer, frozen=True):
    async_trigger_config: _Async | None = None


@dataclass(frozen=True)
class Wanted:
    """The function that is wanted. ``variables`` holds secrets."""

    spec: Deployment
    code: Code
    variables: Mapping[str, str] = field(repr=False)

    @property
    def name(self) -> dict[str, str]:
        """How calls name the function."""
        return {"FunctionName": self.spec.function, "Namespace": self.spec.namespace}


def find(api: Api, spec: Deployment) -> Found | None:
    """Ask for the function; None when there is none. Raises CloudError."""
    try:
        return api.read("GetFunction", {"FunctionName": spec.function, "Namespace": spec.namespace}, Found)
    except CloudError as error:
        if error.code not in ("ResourceNotFound.FunctionName", "ResourceNotFound.Function"):
            raise
        return None


def variables(spec: Deployment, env: Mapping[str, str], there: Mapping[str, str], *, allowed: bool) -> dict[str, str]:
    """Decide what the environment is to be; raises DeploymentError, which never repeats a value.

    A secret that is on the function stays. ``allowed``: secrets of ``env`` may be stored on the function.
    """
    given = {name: env[name].strip() for name in SECRETS if env.get(name, "").strip()}
    new = [name for name, value in given.items() if there.get(name) != value]
    if new and not allowed:
        raise DeploymentError(
            _("{names} would be stored on the function. {nowhere_else}", names=", ".join(new), nowhere_else=_(NOWHERE_ELSE))
        )
    kept = {name: there[name] for name in SECRETS if there.get(name)}
    wanted = {**spec.variables, **kept, **given}
    missing = [name for name in NEEDED if name not in wanted]
    malformed = [name for name in NEEDED if name in given and not _KEY.fullmatch(given[name])]
    if missing or malformed:
        names = ", ".join([*missing, *malformed])
        raise DeploymentError(
            _(
                "set {names} in your environment to <key id>:<secret>, {least} characters or more",
                names=names,
                least=MIN_SECRET,
            )
        )
    if problem := size_problem(wanted):
        raise DeploymentError(problem)
    return wanted


def description(code: Code, kept_sha256: str) -> str:
    """Describe the function, with both digests of its code. SCF takes letters, digits, spaces, commas and full stops."""
    digests = f"Code {code.sha256[:_DIGEST_LENGTH]} kept as {kept_sha256[:_DIGEST_LENGTH]}"
    return f"Application consistent snapshots of CBS disks. {digests}."


def kept_sha256(api: Api, spec: Deployment) -> str:
    """Ask SCF for its own digest of the code. Raises CloudError."""
    params = {"FunctionName": spec.function, "Namespace": spec.namespace}
    return api.read("GetFunctionAddress", params, _Address).code_sha256 or ""


def compare(api: Api, wanted: Wanted, found: Found | None) -> tuple[Step, ...]:
    """Compare the function with what is wanted; changes nothing. Raises CloudError and DeploymentError."""
    if found is None:
        return (*_creation(wanted), _retry_step(wanted))
    if found.runtime != RUNTIME:
        raise DeploymentError(
            _(
                "{function} runs {runtime}, which SCF cannot change; delete it first",
                function=wanted.spec.function,
                runtime=found.runtime,
            )
        )
    if found.status in ("CreateFailed", "Deleting", "DeleteFailed"):
        raise DeploymentError(
            _(
                "{function} is {status}: {why}; delete it, then run this again",
                function=wanted.spec.function,
                status=found.status,
                why=found.status_desc,
            )
        )
    return (*_changes(wanted, found, kept_sha256(api, wanted.spec)), *_retries(api, wanted))


def _creation(wanted: Wanted) -> Iterator[Step]:
    subject = f"function {wanted.spec.function}"
    params = {
        **wanted.name,
        "Code": {"ZipFile": base64.b64encode(wanted.code.content).decode()},
        "Handler": HANDLER,
        "Runtime": RUNTIME,
        "Type": "Event",
        "Description": "Application consistent snapshots of CBS disks.",
        **_settings(wanted),
    }
    detail = f"{len(wanted.code.content):,} bytes of code, variables {', '.join(sorted(wanted.variables))}"
    yield Step("create", subject, detail, SCF, "CreateFunction", params, settles=True)
    yield _described(wanted, "note which code it has", {})


def _changes(wanted: Wanted, found: Found, kept: str) -> Iterator[Step]:
    same_code = description(wanted.code, kept) == found.description and found.status != "UpdateFailed"
    if not same_code or found.handler != HANDLER:
        params = {
            **wanted.name,
            "Handler": HANDLER,
            "Code": {"ZipFile": base64.b64encode(wanted.code.content).decode()},
        }
        detail = f"{len(wanted.code.content):,} bytes, sha256 {wanted.code.sha256[:12]}"
        yield Step("replace", f"code of {wanted.spec.function}", detail, SCF, "UpdateFunctionCode", params, settles=True)
    differences = list(_differences(wanted, found))
    if differences or not same_code:
        yield _described(wanted, "; ".join(differences) or "note which code it has", _settings(wanted))


def _described(wanted: Wanted, detail: str, settings: Mapping[str, object]) -> Step:
    params = {**wanted.name, **settings}
    subject = f"function {wanted.spec.function}"
    return Step("change", subject, detail, SCF, "UpdateFunctionConfiguration", params, settles=True, describes=True)


def _settings(wanted: Wanted) -> dict[str, object]:
    spec = wanted.spec
    return {
        "Role": spec.role,
        "MemorySize": spec.memory_mib,
        "Timeout": spec.timeout_s,
        "InitTimeout": spec.init_timeout_s,
        "Environment": {"Variables": [{"Key": key, "Value": value} for key, value in sorted(wanted.variables.items())]},
        "VpcConfig": {"VpcId": spec.network.vpc_id, "SubnetId": spec.network.subnet_id},
        "PublicNetConfig": {
            "PublicNetStatus": "ENABLE" if spec.network.public else "DISABLE",
            "EipConfig": {"EipStatus": "DISABLE"},
        },
        **({"ClsLogsetId": spec.logs.logset_id, "ClsTopicId": spec.logs.topic_id} if spec.logs else {}),
    }


def _differences(wanted: Wanted, found: Found) -> Iterator[str]:
    spec, vpc, public = wanted.spec, found.vpc_config or _Vpc(), found.public_net_config or _PublicNet()
    pairs: list[tuple[str, object, object]] = [
        ("role", found.role, spec.role),
        ("memory", found.memory_size, spec.memory_mib),
        ("timeout", found.timeout, spec.timeout_s),
        ("init timeout", found.init_timeout, spec.init_timeout_s),
        ("network", f"{vpc.vpc_id}/{vpc.subnet_id}", f"{spec.network.vpc_id}/{spec.network.subnet_id}"),
        ("public network", public.public_net_status == "ENABLE", spec.network.public),
    ]
    if spec.logs:
        logs = f"{spec.logs.logset_id}/{spec.logs.topic_id}"
        pairs.append(("logs", f"{found.cls_logset_id}/{found.cls_topic_id}", logs))
    yield from (f"{what} {there} -> {here}" for what, there, here in pairs if there != here)
    yield from _variable_differences(found.variables, wanted.variables)


def _variable_differences(there: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    """Name variables that differ, never their values: any of them may be a secret."""
    yield from (f"variable {name} is new" for name in sorted(wanted.keys() - there.keys()))
    yield from (f"variable {name} goes" for name in sorted(there.keys() - wanted.keys()))
    yield from (f"variable {name} changes" for name in sorted(wanted.keys() & there.keys()) if wanted[name] != there[name])


def _retries(api: Api, wanted: Wanted) -> Iterator[Step]:
    config = api.read("GetFunctionEventInvokeConfig", wanted.name, _AsyncConfig).async_trigger_config or _Async()
    times = [one.retry_num for one in config.retry_config or ()]
    if (times, config.msg_ttl) != ([wanted.spec.retries.times], wanted.spec.retries.kept_s):
        yield _retry_step(wanted)


def _retry_step(wanted: Wanted) -> Step:
    retries = wanted.spec.retries
    config = {"RetryConfig": [{"RetryNum": retries.times}], "MsgTTL": retries.kept_s}
    params = {**wanted.name, "AsyncTriggerConfig": config}
    detail = f"{retries.times} more times, within {retries.kept_s} s"
    return Step("set", f"retries of {wanted.spec.function}", detail, SCF, "UpdateFunctionEventInvokeConfig", params)

"""The function's environment variables, read at every invocation into one frozen value.

SCF refreshes the role's temporary keys per invocation, so nothing here may be kept from one invocation to the next.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from quiesce.certificate import SigningKey
from quiesce.errors import SettingsError

CODE_DIR = Path(__file__).resolve().parent.parent
"""Where index.py lies; relative paths in variables start here, because nothing is promised about the working folder."""
MIN_SECRET = 16
ANY = r"(?s).+"


class HttpAuth(enum.Enum):
    """Who vouches for a caller of the function URL: a signature checked here, or Tencent Cloud's CAM before we run."""

    HMAC = "hmac"
    CAM = "cam"


@dataclass(frozen=True)
class Key:
    """A shared secret and the id by which the other side finds it."""

    key_id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class Credentials:
    """The execution role's temporary keys; ``token`` is None for keys of a sub-account."""

    secret_id: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)


@dataclass(frozen=True)
class HookSettings:
    """How to reach the daemons. ``timeout_s`` is how long one may take to answer a request that has no work to do."""

    port: int
    key: Key
    ca: Path
    client_certificate: Path | None
    client_key: Path | None
    """Private key of ``client_certificate``; None when the same file holds it, or there is no certificate."""
    timeout_s: float


@dataclass(frozen=True)
class CloudSettings:
    """How to reach Tencent Cloud. ``timeout_s`` bounds connecting, and each wait for bytes, of one call."""

    region: str
    credentials: Credentials
    endpoint: str | None
    root_domain: str | None
    ca: Path | None
    timeout_s: float


@dataclass(frozen=True)
class Settings:
    """Everything that the function is told by its environment."""

    policies: Path
    hook: HookSettings
    cloud: CloudSettings
    http_auth: HttpAuth
    http_secret: bytes | None = field(repr=False)
    certificate_key: SigningKey
    cls_topic: str | None
    fleet_above: int
    """With more targets than this a run is handed to workers, each an invocation of this function."""
    snapshot_quota: int | None = None
    """How many snapshots the region takes; None: as documented, 0: never checked (adapters/quota)."""
    event_bus: str | None = None
    """Id of the EventBridge bus that what runs got is published on."""

    @classmethod
    def from_env(cls, env: Mapping[str, str], code_dir: Path = CODE_DIR) -> Settings:
        """Read and check every variable; raises SettingsError that names all that is wrong at once."""
        read = _Reader(env, code_dir)
        certificate_key = read.key("QUIESCE_CERTIFICATE_KEY", "the key that signs certificates")
        settings = cls(
            policies=read.file("QUIESCE_POLICIES", "the TOML file with the policies", default="policies.toml"),
            hook=_hook(read),
            cloud=_cloud(read),
            http_auth=HttpAuth(read.one_of("QUIESCE_HTTP_AUTH", [auth.value for auth in HttpAuth])),
            http_secret=read.secret("QUIESCE_HTTP_KEY"),
            certificate_key=SigningKey(certificate_key.key_id, certificate_key.secret),
            cls_topic=read.optional("QUIESCE_CLS_TOPIC"),
            snapshot_quota=read.whole("QUIESCE_SNAPSHOT_QUOTA"),
            event_bus=read.optional(
                "QUIESCE_EVENT_BUS", "the id of a custom event bus, like eb-l65vlc2u", r"eb-[a-z0-9]{4,20}"
            ),
            fleet_above=int(read.number("QUIESCE_FLEET_ABOVE", 16, low=1, high=1000, whole=True)),
        )
        if read.problems:
            raise SettingsError("; ".join(read.problems))
        return settings

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must never be printed."""
        credentials = self.cloud.credentials
        shared = [self.hook.key.secret, self.certificate_key.secret, self.http_secret or b""]
        texts = [credentials.secret_key, credentials.token or "", *(secret.decode() for secret in shared)]
        return tuple(text for text in texts if text)


def cloud_from_env(env: Mapping[str, str]) -> CloudSettings:
    """Read what a command needs that asks the cloud alone; raises SettingsError that names all that is wrong at once."""
    read = _Reader(env, Path.cwd())
    settings = _cloud(read)
    if read.problems:
        raise SettingsError("; ".join(read.problems))
    return settings


def _hook(read: _Reader) -> HookSettings:
    client_certificate = read.optional_file("QUIESCE_HOOK_CLIENT_CERTIFICATE")
    client_key = read.optional_file("QUIESCE_HOOK_CLIENT_KEY")
    if client_key and not client_certificate:
        read.problems.append("QUIESCE_HOOK_CLIENT_KEY is set without QUIESCE_HOOK_CLIENT_CERTIFICATE; set both, or neither")
    return HookSettings(
        port=int(read.number("QUIESCE_HOOK_PORT", 9443, low=1, high=65535, whole=True)),
        key=read.key("QUIESCE_HOOK_KEY", "the key that function and daemons share"),
        ca=read.file("QUIESCE_HOOK_CA", "the PEM file of the CA that signed the daemons' certificates"),
        client_certificate=client_certificate,
        client_key=client_key,
        timeout_s=read.number("QUIESCE_HOOK_TIMEOUT_S", 5, low=0.5, high=60),
    )


def _cloud(read: _Reader) -> CloudSettings:
    region_name = "QUIESCE_REGION" if read.optional("QUIESCE_REGION") else "TENCENTCLOUD_REGION"
    return CloudSettings(
        region=read.text(region_name, "the region of the disks, like ap-guangzhou", r"[a-z]+(-[a-z0-9]+)+"),
        credentials=Credentials(
            secret_id=read.text("TENCENTCLOUD_SECRETID", _ROLE),
            secret_key=read.text("TENCENTCLOUD_SECRETKEY", _ROLE),
            token=read.optional("TENCENTCLOUD_SESSIONTOKEN"),
        ),
        endpoint=read.optional("QUIESCE_CLOUD_ENDPOINT", "host or host:port, without https://", _HOST),
        root_domain=read.optional("QUIESCE_CLOUD_ROOT_DOMAIN", "a domain like internal.tencentcloudapi.com", _HOST),
        ca=read.optional_file("QUIESCE_CLOUD_CA"),
        timeout_s=read.number("QUIESCE_API_TIMEOUT_S", 5, low=0.5, high=30),
    )


_ROLE = "give the function an execution role (SCF then sets it), or set it to a key of yours"
_HOST = r"[A-Za-z0-9.-]+(:\d{1,5})?"
"""The SDK signs the endpoint as the Host header, so a scheme or a path in it makes every signature wrong."""


class _Reader:
    """Reads variables and collects what is wrong with them; what it returns for a wrong one is never used."""

    def __init__(self, env: Mapping[str, str], code_dir: Path) -> None:
        self._env = env
        self._code_dir = code_dir
        self.problems: list[str] = []

    def optional(self, name: str, what: str = "", pattern: str = ANY) -> str | None:
        value = self._env.get(name, "").strip()
        if value and not re.fullmatch(pattern, value):
            self.problems.append(f"{name} must be {what}, not {value!r}")
        return value or None

    def text(self, name: str, what: str, pattern: str = ANY) -> str:
        value = self.optional(name, what, pattern)
        if value is None:
            self.problems.append(f"{name} is not set: {what}")
        return value or ""

    def one_of(self, name: str, values: list[str]) -> str:
        value = self.optional(name)
        if value is not None and value not in values:
            self.problems.append(f"{name} must be one of {', '.join(values)}, not {value!r}")
        return value if value in values else values[0]

    def number(self, name: str, default: float, *, low: float, high: float, whole: bool = False) -> float:
        text = self.optional(name)
        try:
            value = float(text) if text is not None else default
        except ValueError:
            value = math.nan
        if not low <= value <= high or (whole and value != int(value)):
            kind = "a whole number" if whole else "a number"
            self.problems.append(f"{name} must be {kind} from {low:g} to {high:g}, not {text!r}")
            return default
        return value

    def whole(self, name: str) -> int | None:
        return None if self.optional(name) is None else int(self.number(name, 0, low=0, high=10_000_000, whole=True))

    def file(self, name: str, what: str, default: str | None = None) -> Path:
        value = self.optional(name) or default
        if value is None:
            self.problems.append(f"{name} is not set: give the path of {what}, from the code's folder")
        return self._existing(name, value or "")

    def optional_file(self, name: str) -> Path | None:
        value = self.optional(name)
        return None if value is None else self._existing(name, value)

    def _existing(self, name: str, value: str) -> Path:
        path = self._code_dir / value
        if value and not path.is_file():
            self.problems.append(f"{name}: there is no file {path}; put it in the package or correct the path")
        return path

    def key(self, name: str, what: str) -> Key:
        """Read ``<key id>:<secret>``; a wrong value is never repeated, because it may be half a secret."""
        key_id, _, secret = (self.optional(name) or "").partition(":")
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", key_id) or len(secret) < MIN_SECRET:
            self.problems.append(f"{name} must hold {what} as <key id>:<secret>, {_SECRET}")
        return Key(key_id, secret.encode())

    def secret(self, name: str) -> bytes | None:
        value = self.optional(name)
        if value is not None and len(value) < MIN_SECRET:
            self.problems.append(f"{name} must hold a secret, {_SECRET}")
        return None if value is None else value.encode()


_SECRET = f"the secret at least {MIN_SECRET} characters long (openssl rand -hex 32 makes a good one)"

"""The function's environment variables, read at every invocation into one frozen value.

SCF refreshes the role's temporary keys per invocation, so nothing here may be kept from one invocation to the next.
"""

from __future__ import annotations

import enum
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import msgspec

from quiesce.certificate import SigningKey
from quiesce.errors import SettingsError
from quiesce.variables import Discreet, Key, Reader
from quiesce.words import _, later

CODE_DIR = Path(__file__).resolve().parent.parent
"""Where index.py lies; relative paths in variables start here, because nothing is promised about the working folder."""


class HttpAuth(enum.Enum):
    """Who vouches for a caller of the function URL."""

    HMAC = "hmac"
    """A signature with QUIESCE_HTTP_KEY that is checked here."""
    CAM = "cam"
    """Tencent Cloud's CAM, before the function runs."""


class NotifyOn(enum.Enum):
    """What a message is sent for. A release that was not confirmed is always told."""

    FAILED = "failed"
    """Targets without a complete set of snapshots, and runs that could not begin."""
    WEAKER = "weaker"
    """Targets with a weaker level than asked for."""
    SKIPPED = "skipped"
    """Targets that were skipped because the hold could not be had."""
    REACHED = "reached"
    """Targets that got what was asked for."""
    LATE = "late"
    """Disks whose newest point is older than the objective, told by each follow-up for as long as it is so."""
    UNCOVERED = "uncovered"
    """Disks that no policy covers, told by each follow-up."""


class Credentials(Discreet, frozen=True):
    """The execution role's temporary keys."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset({"secret_key", "token"})

    secret_id: str
    """Id of the key that calls the cloud. SCF sets it at every invocation for a function with an execution role."""
    secret_key: str
    """Secret of that key; SCF sets it."""
    token: str | None
    """Token that belongs to a role's temporary key; SCF sets it. A sub-account's key has none."""


class HookSettings(msgspec.Struct, frozen=True):
    """How to reach the daemons."""

    port: int
    """TCP port that every instance's daemon listens on."""
    key: Key
    """Key that requests to the daemons are signed with; each daemon has it in ``[keys]``."""
    ca: Path
    """PEM file with the authorities that signed the daemons' certificates, or with those certificates."""
    client_certificate: Path | None
    """PEM file with the certificate that the function shows, where daemons ask for one (``client_ca``)."""
    client_key: Path | None
    """PEM file with the private key of that certificate, where the same file does not hold it."""
    timeout_s: float
    """Seconds that a daemon may take to answer a request that has no work to do."""


class CloudSettings(msgspec.Struct, frozen=True):
    """How to reach Tencent Cloud."""

    region: str
    """Region of the disks, like ap-guangzhou. SCF sets TENCENTCLOUD_REGION; QUIESCE_REGION is used in its place."""
    credentials: Credentials
    endpoint: str | None
    """Host, or host:port, that every API is asked at, for gateways and for tests. Unset: each API's own host."""
    root_domain: str | None
    """Domain that the APIs' hosts are under, like internal.tencentcloudapi.com."""
    ca: Path | None
    """PEM file with the authorities that the cloud's certificate is checked by. Unset: the public ones."""
    timeout_s: float
    """Seconds that connecting, and each wait for bytes, of one call may take."""


class NotifySettings(Discreet, frozen=True):
    """Who is told what a run got."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset({"urls", "key"})

    urls: tuple[str, ...] = ()
    """Where messages go, separated by commas (a comma within one is %2C): ``https://`` addresses get a signed webhook; other
    schemes, such as ``wecombot://``, ``feishu://``, ``dingtalk://``, ``slack://`` and ``mailtos://``, are apprise's."""
    on: frozenset[NotifyOn] = frozenset()
    """What is told, separated by commas. A release that was not confirmed is always told."""
    key: bytes | None = None
    """Secret that webhooks are signed with; needed where there is an ``https://`` address."""
    ca: Path | None = None
    """PEM file with the authorities that receivers' certificates are checked by. Unset: the public ones."""


class Settings(Discreet, frozen=True):
    """Everything that the function is told by its environment."""

    HIDDEN: ClassVar[frozenset[str]] = frozenset({"http_secret"})

    policies: Path
    """TOML file with the policies."""
    hook: HookSettings
    cloud: CloudSettings
    http_auth: HttpAuth
    """Who vouches for a caller of the function URL."""
    http_secret: bytes | None
    """Secret that callers of the function URL sign with. Unset: with ``hmac`` every such caller is refused."""
    certificate_key: SigningKey
    """Key that certificates and the seals in tags are signed with."""
    cls_topic: str | None
    """Id of a CLS topic that gets one record for each target of a run. Unset: none is written."""
    fleet_above: int
    """With more targets than this a run is handed to workers, each an invocation of this function."""
    snapshot_quota: int | None = None
    """How many snapshots the region takes. Unset: as documented (64, and 64 for each cloud disk); 0 never looks."""
    log_topic: str | None = None
    """CLS topic that SCF puts the function's own output into; a report reads the steps of runs there."""
    event_bus: str | None = None
    """Id of the EventBridge bus that what runs got is published on. Unset: nothing is published."""
    notify: NotifySettings = NotifySettings()

    @classmethod
    def from_env(cls, env: Mapping[str, str], code_dir: Path = CODE_DIR) -> Settings:
        """Read and check every variable; raises SettingsError that names all that is wrong at once."""
        read = Reader(env, code_dir)
        certificate_key = read.key("QUIESCE_CERTIFICATE_KEY", later("the key that signs certificates"))
        settings = cls(
            policies=read.file("QUIESCE_POLICIES", later("the TOML file with the policies"), default="policies.toml"),
            hook=_hook(read),
            cloud=_cloud(read),
            http_auth=HttpAuth(read.one_of("QUIESCE_HTTP_AUTH", [auth.value for auth in HttpAuth])),
            http_secret=read.secret("QUIESCE_HTTP_KEY"),
            certificate_key=SigningKey(certificate_key.key_id, certificate_key.secret),
            cls_topic=read.optional("QUIESCE_CLS_TOPIC"),
            log_topic=read.optional("QUIESCE_LOG_TOPIC"),
            snapshot_quota=read.whole("QUIESCE_SNAPSHOT_QUOTA"),
            event_bus=read.optional(
                "QUIESCE_EVENT_BUS", later("the id of a custom event bus, like eb-l65vlc2u"), r"eb-[a-z0-9]{4,20}"
            ),
            fleet_above=int(read.number("QUIESCE_FLEET_ABOVE", 16, low=1, high=1000, whole=True)),
            notify=_notify(read),
        )
        if read.problems:
            raise SettingsError("; ".join(read.problems))
        return settings

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must never be printed."""
        credentials = self.cloud.credentials
        shared = [self.hook.key.secret, self.certificate_key.secret, self.http_secret or b"", self.notify.key or b""]
        texts = [credentials.secret_key, credentials.token or "", *(secret.decode() for secret in shared)]
        return tuple(text for text in (*texts, *self.notify.urls) if text)


def cloud_from_env(env: Mapping[str, str]) -> CloudSettings:
    """Read what a command needs that asks the cloud alone; raises SettingsError that names all that is wrong at once."""
    read = Reader(env, Path.cwd())
    settings = _cloud(read)
    if read.problems:
        raise SettingsError("; ".join(read.problems))
    return settings


def _hook(read: Reader) -> HookSettings:
    client_certificate = read.optional_file("QUIESCE_HOOK_CLIENT_CERTIFICATE")
    client_key = read.optional_file("QUIESCE_HOOK_CLIENT_KEY")
    if client_key and not client_certificate:
        read.problems.append(
            _("QUIESCE_HOOK_CLIENT_KEY is set without QUIESCE_HOOK_CLIENT_CERTIFICATE; set both, or neither")
        )
    return HookSettings(
        port=int(read.number("QUIESCE_HOOK_PORT", 9443, low=1, high=65535, whole=True)),
        key=read.key("QUIESCE_HOOK_KEY", later("the key that function and daemons share")),
        ca=read.file("QUIESCE_HOOK_CA", later("the PEM file of the CA that signed the daemons' certificates")),
        client_certificate=client_certificate,
        client_key=client_key,
        timeout_s=read.number("QUIESCE_HOOK_TIMEOUT_S", 5, low=0.5, high=60),
    )


def _cloud(read: Reader) -> CloudSettings:
    return CloudSettings(
        region=read.optional("QUIESCE_REGION", _OF_THE_DISKS, _REGION)
        or read.text("TENCENTCLOUD_REGION", _OF_THE_DISKS, _REGION),
        credentials=_credentials(read),
        endpoint=read.optional("QUIESCE_CLOUD_ENDPOINT", later("host or host:port, without https://"), _HOST),
        root_domain=read.optional("QUIESCE_CLOUD_ROOT_DOMAIN", later("a domain like internal.tencentcloudapi.com"), _HOST),
        ca=read.optional_file("QUIESCE_CLOUD_CA"),
        timeout_s=read.number("QUIESCE_API_TIMEOUT_S", 5, low=0.5, high=30),
    )


def _credentials(read: Reader) -> Credentials:
    return Credentials(
        secret_id=read.text("TENCENTCLOUD_SECRETID", _ROLE),
        secret_key=read.text("TENCENTCLOUD_SECRETKEY", _ROLE),
        token=read.optional("TENCENTCLOUD_SESSIONTOKEN"),
    )


def _notify(read: Reader) -> NotifySettings:
    urls = read.several("QUIESCE_NOTIFY_URLS")
    key = read.secret("QUIESCE_NOTIFY_KEY")
    for number, url in enumerate(urls, 1):
        problem = _wrong_url(url, key)
        if problem:  # without the address, which is a secret
            read.problems.append(
                _(
                    "QUIESCE_NOTIFY_URLS: address {number} of {count} {problem}",
                    number=number,
                    count=len(urls),
                    problem=problem,
                )
            )
    on = read.several("QUIESCE_NOTIFY_ON", "failed,weaker,late", [one.value for one in NotifyOn])
    return NotifySettings(urls, frozenset(map(NotifyOn, on)), key, ca=read.optional_file("QUIESCE_NOTIFY_CA"))


def _wrong_url(url: str, key: bytes | None) -> str | None:
    found = re.fullmatch(r"([a-z][a-z0-9]{1,20})://[^\s/?#]\S*", url)
    if found is None:
        return _("is none: it begins with a scheme, such as https:// or wecombot://, and has no spaces")
    if found[1] == "http":
        return _("begins with http://, which is not encrypted; use https://")
    if found[1] == "https":
        return None if key else _("is a webhook, and webhooks are signed: set QUIESCE_NOTIFY_KEY")
    if importlib.util.find_spec("apprise") is None:
        return _(
            "begins with {scheme}://, which apprise sends, and apprise is not in this package (docs/notifications.md)",
            scheme=found[1],
        )
    return None


_OF_THE_DISKS = later("the region of the disks, like ap-guangzhou")
_REGION = r"[a-z]+(-[a-z0-9]+)+"
_ROLE = later("give the function an execution role (SCF then sets it), or set it to a key of yours")
_HOST = r"[A-Za-z0-9.-]+(:\d{1,5})?"
"""The SDK signs the endpoint as the Host header, so a scheme or a path in it makes every signature wrong."""

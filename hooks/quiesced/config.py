"""The daemon's configuration: one TOML file, read once, refused as a whole when anything in it is wrong."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

from quiesced.errors import ConfigError
from quiesced.permissions import private_problem, tampering_problem
from quiesced.tables import Table
from quiesced.words import _, later

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MIN_SECRET = 16
"""Shortest shared secret in characters; the function asks for the same."""
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class Listen:
    """Where the hook answers, and with which certificate."""

    host: str
    """Address to listen on: the one in the VPC, and nothing wider."""
    port: int
    """TCP port; 0 takes any that is free."""
    certificate: Path
    """PEM file with the daemon's certificate; the function's QUIESCE_HOOK_CA must hold it, or who signed it."""
    private_key: Path
    """PEM file with its private key, which nobody else may read."""
    client_ca: Optional[Path]
    """PEM file with the authority of callers' certificates. With it, callers without one are turned away."""


@dataclass(frozen=True)
class AllowedLimits:
    """The longest stall that the owner of this instance accepts, in seconds. Requests for more are refused."""

    acquire_limit_s: float
    """How long getting a hold may make writers wait."""
    hold_limit_s: float
    """How long a hold may last, from the first lock to the last thaw."""


@dataclass(frozen=True)
class ApplicationConfig:
    """One ``[[application]]`` table; ``options`` are the engine's own keys, checked by the engine."""

    name: str
    """What it is called in answers and certificates: at most 64 of A-Z a-z 0-9 _ . -, and once only."""
    engine: str
    """What it is; each engine has keys of its own."""
    options: dict[str, object]


@dataclass(frozen=True)
class Config:
    """Everything that quiesced is told."""

    listen: Listen
    keys: dict[str, bytes] = field(repr=False)
    """Key id = absolute path of a file with the shared secret, which nobody else may read: at least 16 characters. Two keys
    are good while one replaces the other."""
    limits: AllowedLimits
    disk_by_id_dir: Path
    """Where block devices are found by CBS disk id (/dev/disk/by-id on a CVM: virtio-disk-xxxxxxxx)."""
    never_freeze: tuple[Path, ...]
    """Filesystems that hold one of these are never frozen. Neither are /, /boot, and what the daemon itself needs."""
    state_dir: Path
    """On tmpfs: what is held now, and which leases are over."""
    expedite_freeze: bool
    """Ask the kernel for expedited RCU grace periods while freezing (docs/adr/0005)."""
    applications: tuple[ApplicationConfig, ...]
    only_applications_write: bool = False
    """The owner's word that nothing but the applications writes to the disks: where one disk is cut and each of them locks
    its own writers, nothing is frozen (docs/adr/0007)."""


CheckApplication = Callable[[ApplicationConfig, str], Iterable[str]]
"""Given an application and its place in the file, names what is wrong with its engine or options."""


def load(path: Path, check_application: CheckApplication = lambda _application, _path: ()) -> Config:
    """Read the file, or raise ConfigError with every problem at once."""
    problems: list[str] = []
    root = Table(_parse(path), "", problems)
    config = Config(
        listen=_listen(root.table("listen")),
        keys=_keys(root.table("keys")),
        limits=_limits(root.table("limits")),
        disk_by_id_dir=root.path("disk_by_id_dir", "/dev/disk/by-id"),
        never_freeze=root.paths("never_freeze"),
        state_dir=root.path("state_dir", "/run/quiesced"),
        expedite_freeze=root.flag("expedite_freeze", True),
        only_applications_write=root.flag("only_applications_write", False),
        applications=tuple(_application(table) for table in root.tables("application")),
    )
    root.close()
    problems.extend(_applications(config.applications, check_application))
    if problems:
        raise ConfigError(tuple(f"{path}: {problem}" for problem in problems))
    return config


def _parse(path: Path) -> object:
    problem = tampering_problem(path) if path.exists() else None
    if problem:
        raise ConfigError((f"{path}: {problem}",))
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError((f"{path}: {error}",)) from error


def _listen(table: Table) -> Listen:
    listen = Listen(
        host=table.text("host"),
        port=table.whole("port", 0, 65_535),
        certificate=table.path("certificate"),
        private_key=table.path("private_key"),
        client_ca=table.optional_path("client_ca"),
    )
    table.close()
    for key, file in (("certificate", listen.certificate), ("client_ca", listen.client_ca)):
        if file is not None and file.is_absolute() and not file.is_file():
            table.problem(key, _("no such file: {file}", file=file))
        elif file is not None and file.is_absolute():
            _insist(table, key, file, tampering_problem)
    _insist(table, "private_key", listen.private_key, private_problem)
    return listen


def _keys(table: Table) -> dict[str, bytes]:
    names = table.names()
    if not names:
        table.problem("", _("must name at least one key: <key id> = <file with the shared secret>"))
    return {name: _secret(table, name) for name in names}


def _secret(table: Table, name: str) -> bytes:
    """Read one shared secret. What the file holds is never part of a message."""
    file = table.path(name)
    if not _KEY_ID.fullmatch(name):
        table.problem(name, _("a key id must match {pattern}", pattern=_KEY_ID.pattern))
    if _insist(table, name, file, private_problem):
        secret = file.read_text(encoding="utf-8").strip()
        if len(secret) >= MIN_SECRET:
            return secret.encode()
        words = later("{file} must hold at least {least} characters; openssl rand -hex 32 makes a good one")
        table.problem(name, _(words, file=file, least=MIN_SECRET))
    return b""


def _insist(table: Table, key: str, file: Path, problem_of: Callable[[Path], Optional[str]]) -> bool:
    if not file.is_absolute():
        return False
    problem = problem_of(file)
    if problem:
        table.problem(key, f"{file}: {problem}")
    return problem is None


def _limits(table: Table) -> AllowedLimits:
    limits = AllowedLimits(table.seconds("acquire_limit_s"), table.seconds("hold_limit_s"))
    table.close()
    return limits


def _application(table: Table) -> ApplicationConfig:
    name, engine = table.text("name"), table.text("engine")
    if name and not _NAME.fullmatch(name):
        table.problem("name", _("must match {pattern}", pattern=_NAME.pattern))
    return ApplicationConfig(name, engine, table.rest())


def _applications(applications: tuple[ApplicationConfig, ...], check: CheckApplication) -> Iterable[str]:
    names = [application.name for application in applications]
    for index, application in enumerate(applications):
        if application.name in names[:index]:
            yield f"application[{index}].name: " + _("{name!r} is taken", name=application.name)
        yield from check(application, f"application[{index}]")

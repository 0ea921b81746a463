"""Whose key a command uses: the ways in which Tencent's own tools are given one, in the order in which tccli takes them.

1. the environment, in three dialects: SCF's, that of the SDK and tccli, and that of ``.env`` files;
2. a profile of tccli, ``~/.tccli/<profile>.credential`` and ``.configure``, both JSON;
3. the SDK's file ``~/.tencentcloud/credentials``, an ini file with a section ``[default]``.

A secret is never taken from the command line, which everybody on the machine can list.
"""

from __future__ import annotations

import configparser
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quiesce.errors import SettingsError
from quiesce.words import _

DIALECTS = (
    ("SCF", "TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", "TENCENTCLOUD_SESSIONTOKEN"),
    ("SDK and tccli", "TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_TOKEN"),
    (".env", "TENCENT_SECRET_ID", "TENCENT_SECRET_KEY", "TENCENT_TOKEN"),
)
REGIONS = ("QUIESCE_REGION", "TENCENTCLOUD_REGION", "TENCENT_REGION", "REGION")
DEFAULT_PROFILE = "default"


@dataclass(frozen=True)
class Found:
    """A key, and where it came from. ``also`` names what was found besides and is not used."""

    secret_id: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)
    source: str
    also: tuple[str, ...] = ()
    region: str | None = None
    region_source: str = ""


@dataclass(frozen=True)
class _Key:
    source: str
    secret_id: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)


def find(env: Mapping[str, str], home: Path, *, profile: str | None = None, region: str | None = None) -> Found:
    """Find the key that counts. A ``profile`` that is asked for by name comes before the environment.

    Raises SettingsError when there is none, or a file cannot be read; the message says what to do.
    """
    files = list(_from_files(home, profile or env.get("TCCLI_PROFILE") or DEFAULT_PROFILE))
    environment = list(_from_environment(env))
    keys = [*files, *environment] if profile else [*environment, *files]
    if profile and not (home / ".tccli" / f"{profile}.credential").is_file():
        raise SettingsError(
            _(
                "there is no profile {profile!r}: {directory} has no {profile}.credential (tccli configure)",
                profile=profile,
                directory=home / ".tccli",
            )
        )
    if not keys:
        raise SettingsError(
            _("no key was found: set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, or run `tccli configure`")
        )
    first, *others = keys
    where, name = _region(env, home, profile or DEFAULT_PROFILE, region)
    also = tuple(one.source for one in others)
    return Found(first.secret_id, first.secret_key, first.token, first.source, also, name, where)


def as_environment(found: Found, env: Mapping[str, str]) -> dict[str, str]:
    """Write a key as the function's own variables, which everything else reads, in the place of any other key in ``env``.

    A token of one key beside the secret of another would make every call fail.
    """
    others = {name for _, *names in DIALECTS for name in names}
    named = {key: text for key, text in env.items() if key not in others}
    named |= {"TENCENTCLOUD_SECRETID": found.secret_id, "TENCENTCLOUD_SECRETKEY": found.secret_key}
    named |= {"TENCENTCLOUD_SESSIONTOKEN": found.token} if found.token else {}
    return named | ({"QUIESCE_REGION": found.region} if found.region else {})


def _from_environment(env: Mapping[str, str]) -> Iterator[_Key]:
    for dialect, id_name, key_name, token_name in DIALECTS:
        if env.get(id_name) and env.get(key_name):
            yield _Key(f"environment ({dialect}): {id_name}", env[id_name], env[key_name], env.get(token_name) or None)


def _from_files(home: Path, profile: str) -> Iterator[_Key]:
    credential = home / ".tccli" / f"{profile}.credential"
    if credential.is_file():
        content = _json(credential)
        if content.get("secretId") and content.get("secretKey"):
            token = content.get("token") or None
            yield _Key(
                f"profile {profile} of tccli: {credential}", str(content["secretId"]), str(content["secretKey"]), token
            )
    ini = home / ".tencentcloud" / "credentials"
    if ini.is_file():
        section = _ini(ini)
        if section.get("secret_id") and section.get("secret_key"):
            yield _Key(f"the SDK's file: {ini}", section["secret_id"], section["secret_key"], None)


def _region(env: Mapping[str, str], home: Path, profile: str, given: str | None) -> tuple[str, str | None]:
    if given:
        return "--region", given
    configure = home / ".tccli" / f"{profile}.configure"
    for name in REGIONS:
        if env.get(name):
            return f"environment: {name}", env[name]
    if configure.is_file():
        shared = _json(configure).get("_sys_param")
        if isinstance(shared, dict) and shared.get("region"):
            return f"profile {profile} of tccli: {configure}", str(shared["region"])
    return "", None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(
            _("cannot read {path}: {error}; run `tccli configure` again, or correct the file", path=path, error=error)
        ) from error
    return content if isinstance(content, dict) else {}


def _ini(path: Path) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        kind = type(error).__name__  # its own text may hold a line of the file
        raise SettingsError(
            _("cannot read {path}: {kind}; it has to be an ini file with [default]", path=path, kind=kind)
        ) from None
    return dict(parser["default"]) if parser.has_section("default") else {}

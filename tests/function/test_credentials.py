"""Whose key a command uses: every dialect is read, the order is tccli's, and nothing is mixed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quiesce import credentials
from quiesce.errors import SettingsError

SCF = {"TENCENTCLOUD_SECRETID": "AKscf", "TENCENTCLOUD_SECRETKEY": "scf-secret", "TENCENTCLOUD_SESSIONTOKEN": "scf-token"}
SDK = {"TENCENTCLOUD_SECRET_ID": "AKsdk", "TENCENTCLOUD_SECRET_KEY": "sdk-secret"}
DOTENV = {"TENCENT_SECRET_ID": "AKenv", "TENCENT_SECRET_KEY": "env-secret", "TENCENT_TOKEN": "env-token"}


def tccli(home: Path, profile: str, region: str = "") -> None:
    folder = home / ".tccli"
    folder.mkdir(exist_ok=True)
    content = {"secretId": f"AK{profile}", "secretKey": f"{profile}-secret"}
    (folder / f"{profile}.credential").write_text(json.dumps(content))
    (folder / f"{profile}.configure").write_text(json.dumps({"_sys_param": {"region": region, "output": "json"}}))


def sdk_file(home: Path) -> None:
    (home / ".tencentcloud").mkdir()
    (home / ".tencentcloud" / "credentials").write_text("[default]\nsecret_id = AKini\nsecret_key = ini%secret\n")


@pytest.mark.parametrize(
    ("env", "secret_id", "token"), [(SCF, "AKscf", "scf-token"), (SDK, "AKsdk", None), (DOTENV, "AKenv", "env-token")]
)
def test_every_dialect_of_the_environment_is_read(
    env: dict[str, str], secret_id: str, token: str | None, tmp_path: Path
) -> None:
    found = credentials.find(env, tmp_path)
    assert (found.secret_id, found.token) == (secret_id, token)
    assert next(name for name in env if name.endswith("ID")) in found.source


def test_the_environment_comes_before_files_and_what_is_not_used_is_named(tmp_path: Path) -> None:
    tccli(tmp_path, "default")
    sdk_file(tmp_path)
    found = credentials.find({**SDK, **DOTENV}, tmp_path)
    assert found.secret_id == "AKsdk"
    assert [source.split(":")[0] for source in found.also] == [
        "environment (.env)",
        "profile default of tccli",
        "the SDK's file",
    ]


def test_a_profile_that_is_asked_for_by_name_comes_before_the_environment(tmp_path: Path) -> None:
    tccli(tmp_path, "prod", region="ap-tokyo")
    found = credentials.find(SDK, tmp_path, profile="prod")
    assert (found.secret_id, found.region) == ("AKprod", "ap-tokyo")


def test_the_sdks_file_does_when_there_is_nothing_else(tmp_path: Path) -> None:
    sdk_file(tmp_path)
    found = credentials.find({}, tmp_path)
    assert (found.secret_id, found.secret_key) == ("AKini", "ini%secret")


def test_half_a_key_is_none(tmp_path: Path) -> None:
    found = credentials.find({"TENCENTCLOUD_SECRETID": "AKscf", **DOTENV}, tmp_path)
    assert found.secret_id == "AKenv"


def test_the_token_of_another_key_is_left_behind(tmp_path: Path) -> None:
    env = {**SDK, "TENCENTCLOUD_SESSIONTOKEN": "of another key", "HOME": "/root"}
    written = credentials.as_environment(credentials.find(env, tmp_path), env)
    assert written["TENCENTCLOUD_SECRETID"] == "AKsdk"
    assert "TENCENTCLOUD_SESSIONTOKEN" not in written
    assert written["HOME"] == "/root"


@pytest.mark.parametrize(
    ("given", "env", "region", "source"),
    [
        ("ap-beijing", {"TENCENTCLOUD_REGION": "ap-tokyo"}, "ap-beijing", "--region"),
        (None, {"QUIESCE_REGION": "ap-seoul", "TENCENTCLOUD_REGION": "ap-tokyo"}, "ap-seoul", "environment: QUIESCE_REGION"),
        (None, {}, "ap-chengdu", "profile default of tccli"),
    ],
)
def test_the_region_is_taken_where_it_was_said_most_closely(
    given: str | None, env: dict[str, str], region: str, source: str, tmp_path: Path
) -> None:
    tccli(tmp_path, "default", region="ap-chengdu")
    found = credentials.find({**SDK, **env}, tmp_path, region=given)
    assert found.region == region
    assert found.region_source.startswith(source)


@pytest.mark.parametrize(
    ("profile", "spoil", "words"),
    [
        (None, None, "tccli configure"),
        ("prod", None, "there is no profile 'prod'"),
        ("default", "not JSON", "cannot read"),
    ],
)
def test_what_is_missing_or_spoilt_is_said_with_what_to_do(
    profile: str | None, spoil: str | None, words: str, tmp_path: Path
) -> None:
    if spoil:
        tccli(tmp_path, "default")
        (tmp_path / ".tccli" / "default.credential").write_text(spoil)
    with pytest.raises(SettingsError, match=words):
        credentials.find({}, tmp_path, profile=profile)


def test_a_spoilt_ini_file_is_named_without_its_lines(tmp_path: Path) -> None:
    sdk_file(tmp_path)
    (tmp_path / ".tencentcloud" / "credentials").write_text("secret_key = top-secret\n[default")
    with pytest.raises(SettingsError, match="ini file") as raised:
        credentials.find({}, tmp_path)
    assert "top-secret" not in str(raised.value)


def test_no_secret_is_in_what_is_printed_of_a_key(tmp_path: Path) -> None:
    assert "scf-secret" not in repr(credentials.find(SCF, tmp_path))
    assert "scf-token" not in repr(credentials.find(SCF, tmp_path))

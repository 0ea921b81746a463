from __future__ import annotations

from pathlib import Path

import pytest

from quiesce.errors import SettingsError
from quiesce.settings import HttpAuth, NotifyOn, Settings

HOOK_SECRET = "hook-secret-0123456789"
CERTIFICATE_SECRET = "certificate-secret-0123456789"
HTTP_SECRET = "http-secret-0123456789"


@pytest.fixture
def code_dir(tmp_path: Path) -> Path:
    for name in ("policies.toml", "ca.pem", "other.toml"):
        (tmp_path / name).touch()
    return tmp_path


def env(**changes: str) -> dict[str, str]:
    """The smallest environment in which the function runs, as SCF sets it up, with changes."""
    return {
        "TENCENTCLOUD_SECRETID": "AKIDEXAMPLE",
        "TENCENTCLOUD_SECRETKEY": "secret-key-EXAMPLE",
        "TENCENTCLOUD_SESSIONTOKEN": "session-token-EXAMPLE",
        "TENCENTCLOUD_REGION": "ap-guangzhou",
        "QUIESCE_HOOK_KEY": f"k1:{HOOK_SECRET}",
        "QUIESCE_HOOK_CA": "ca.pem",
        "QUIESCE_CERTIFICATE_KEY": f"c1:{CERTIFICATE_SECRET}",
        **changes,
    }


def test_the_smallest_environment_gets_the_documented_defaults(code_dir: Path) -> None:
    settings = Settings.from_env(env(), code_dir)

    assert settings.policies == code_dir / "policies.toml"
    assert (settings.hook.port, settings.hook.timeout_s, settings.hook.client_certificate) == (9443, 5, None)
    assert settings.hook.ca == code_dir / "ca.pem"
    assert (settings.cloud.region, settings.cloud.timeout_s) == ("ap-guangzhou", 5)
    assert (settings.cloud.endpoint, settings.cloud.root_domain, settings.cloud.ca) == (None, None, None)
    assert (settings.http_auth, settings.http_secret, settings.cls_topic) == (HttpAuth.HMAC, None, None)
    assert (settings.certificate_key.key_id, settings.certificate_key.secret) == ("c1", CERTIFICATE_SECRET.encode())


def test_every_variable_is_read(code_dir: Path) -> None:
    settings = Settings.from_env(
        env(
            QUIESCE_POLICIES="other.toml",
            QUIESCE_HOOK_PORT="9555",
            QUIESCE_HOOK_KEY=f"k2:{HOOK_SECRET}:with:colons",
            QUIESCE_HOOK_CLIENT_CERTIFICATE="ca.pem",
            QUIESCE_HOOK_CLIENT_KEY="ca.pem",
            QUIESCE_HOOK_TIMEOUT_S="2.5",
            QUIESCE_HTTP_AUTH="cam",
            QUIESCE_HTTP_KEY=HTTP_SECRET,
            QUIESCE_CLS_TOPIC="topic-1",
            QUIESCE_REGION="ap-shanghai-fsi",
            QUIESCE_CLOUD_ENDPOINT="127.0.0.1:8443",
            QUIESCE_CLOUD_ROOT_DOMAIN="internal.tencentcloudapi.com",
            QUIESCE_CLOUD_CA=str(code_dir / "ca.pem"),
            QUIESCE_API_TIMEOUT_S="3",
        ),
        code_dir,
    )

    assert settings.policies == code_dir / "other.toml"
    assert (settings.hook.port, settings.hook.timeout_s) == (9555, 2.5)
    assert settings.hook.key.secret == f"{HOOK_SECRET}:with:colons".encode()
    assert (settings.hook.client_certificate, settings.hook.client_key) == (code_dir / "ca.pem", code_dir / "ca.pem")
    assert (settings.http_auth, settings.http_secret) == (HttpAuth.CAM, HTTP_SECRET.encode())
    assert (settings.cls_topic, settings.cloud.region) == ("topic-1", "ap-shanghai-fsi")
    assert settings.cloud.endpoint == "127.0.0.1:8443"
    assert settings.cloud.root_domain == "internal.tencentcloudapi.com"
    assert (settings.cloud.ca, settings.cloud.timeout_s) == (code_dir / "ca.pem", 3)


def test_a_client_key_alone_is_refused(code_dir: Path) -> None:
    with pytest.raises(SettingsError, match="QUIESCE_HOOK_CLIENT_KEY is set without"):
        Settings.from_env(env(QUIESCE_HOOK_CLIENT_KEY="ca.pem"), code_dir)


def test_an_empty_environment_is_told_everything_it_lacks_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({}, tmp_path)

    for name in (
        "QUIESCE_POLICIES",
        "QUIESCE_HOOK_KEY",
        "QUIESCE_HOOK_CA",
        "QUIESCE_CERTIFICATE_KEY",
        "TENCENTCLOUD_REGION",
        "TENCENTCLOUD_SECRETID",
        "TENCENTCLOUD_SECRETKEY",
    ):
        assert name in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        pytest.param("QUIESCE_HOOK_PORT", "0", "1 to 65535", id="port zero"),
        pytest.param("QUIESCE_HOOK_PORT", "9443.5", "whole number", id="half a port"),
        pytest.param("QUIESCE_HOOK_TIMEOUT_S", "nan", "0.5 to 60", id="not a number"),
        pytest.param("QUIESCE_API_TIMEOUT_S", "60", "0.5 to 30", id="the SDK's own default timeout is too long"),
        pytest.param("QUIESCE_HTTP_AUTH", "none", "hmac, cam", id="open to anyone"),
        pytest.param("QUIESCE_HTTP_KEY", "short", "16 characters", id="short secret"),
        pytest.param("QUIESCE_HOOK_KEY", HOOK_SECRET, "<key id>:<secret>", id="key without id"),
        pytest.param("QUIESCE_HOOK_KEY", "k1:short", "16 characters", id="short hook secret"),
        pytest.param("QUIESCE_HOOK_CA", "absent.pem", "there is no file", id="absent CA"),
        pytest.param("QUIESCE_CLOUD_ENDPOINT", "https://cbs.example", "without https://", id="endpoint with scheme"),
        pytest.param("QUIESCE_REGION", "Guangzhou!", "like ap-guangzhou", id="region that is none"),
        pytest.param("TENCENTCLOUD_SECRETID", " ", "execution role", id="blank credentials"),
    ],
)
def test_a_wrong_value_is_refused_with_the_variable_and_what_to_put_in_it(
    code_dir: Path, name: str, value: str, hint: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_env(env(**{name: value}), code_dir)

    assert str(refused.value).startswith(name)
    assert hint in str(refused.value)


def test_no_secret_appears_in_repr_or_in_an_error(code_dir: Path) -> None:
    settings = Settings.from_env(env(QUIESCE_HTTP_KEY=HTTP_SECRET), code_dir)
    with pytest.raises(SettingsError) as refused:
        Settings.from_env(env(QUIESCE_HOOK_KEY=HOOK_SECRET, QUIESCE_HTTP_KEY="2short"), code_dir)

    assert len(settings.secrets) == 5
    for secret in (*settings.secrets, "2short"):
        assert secret not in repr(settings)
        assert secret not in str(refused.value)


def test_credentials_without_a_session_token_are_those_of_a_sub_account(code_dir: Path) -> None:
    assert Settings.from_env(env(TENCENTCLOUD_SESSIONTOKEN=""), code_dir).cloud.credentials.token is None


NOTIFY_KEY = "notify-secret-0123456789"
HOOK, CHAT = "https://alerts.example/T0KEN", "wecombot://T0KEN-of-a-bot"


def test_without_a_word_of_it_nobody_is_told_anything(code_dir: Path) -> None:
    assert Settings.from_env(env(), code_dir).notify.urls == ()


def test_who_is_told_what_is_read(code_dir: Path) -> None:
    given = env(QUIESCE_NOTIFY_URLS=f" {HOOK} , {CHAT},", QUIESCE_NOTIFY_KEY=NOTIFY_KEY, QUIESCE_NOTIFY_CA="ca.pem")
    notify = Settings.from_env(given, code_dir).notify

    assert notify.urls == (HOOK, CHAT)
    assert notify.on == {NotifyOn.FAILED, NotifyOn.WEAKER, NotifyOn.LATE}
    assert (notify.key, notify.ca) == (NOTIFY_KEY.encode(), code_dir / "ca.pem")
    only = Settings.from_env({**given, "QUIESCE_NOTIFY_ON": "late, uncovered"}, code_dir).notify
    assert only.on == {NotifyOn.LATE, NotifyOn.UNCOVERED}


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        pytest.param({"QUIESCE_NOTIFY_KEY": ""}, "address 1 of 2 is a webhook, and webhooks are signed", id="unsigned"),
        pytest.param({"QUIESCE_NOTIFY_URLS": "http://alerts.example/T0KEN"}, "not encrypted", id="not encrypted"),
        pytest.param({"QUIESCE_NOTIFY_URLS": "alerts.example/T0KEN"}, "address 1 of 1 is none", id="no address"),
        pytest.param({"QUIESCE_NOTIFY_URLS": "https:///T0KEN"}, "address 1 of 1 is none", id="no host"),
        pytest.param(
            {"QUIESCE_NOTIFY_ON": "failed,latte"}, "must be of failed, weaker, skipped, reached, late", id="no word"
        ),
        pytest.param({"QUIESCE_NOTIFY_KEY": "short"}, "16 characters", id="short secret"),
        pytest.param({"QUIESCE_NOTIFY_CA": "absent.pem"}, "there is no file", id="absent CA"),
    ],
)
def test_a_wrong_notification_setting_is_refused_without_the_address(
    code_dir: Path, changes: dict[str, str], hint: str
) -> None:
    given = {"QUIESCE_NOTIFY_URLS": f"{HOOK},{CHAT}", "QUIESCE_NOTIFY_KEY": NOTIFY_KEY, **changes}
    with pytest.raises(SettingsError) as refused:
        Settings.from_env(env(**given), code_dir)

    assert hint in str(refused.value)
    assert "T0KEN" not in str(refused.value)


def test_a_chat_is_refused_where_the_package_has_no_apprise(code_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(
        SettingsError, match=r"begins with wecombot://, which apprise sends, and apprise is not in this package"
    ):
        Settings.from_env(env(QUIESCE_NOTIFY_URLS=CHAT), code_dir)


def test_addresses_and_their_key_are_among_the_secrets(code_dir: Path) -> None:
    settings = Settings.from_env(env(QUIESCE_NOTIFY_URLS=f"{HOOK},{CHAT}", QUIESCE_NOTIFY_KEY=NOTIFY_KEY), code_dir)

    assert {HOOK, CHAT, NOTIFY_KEY} <= set(settings.secrets)
    assert "T0KEN" not in repr(settings)
    assert NOTIFY_KEY not in repr(settings)

"""Settings for tests, pointing at loopback."""

from __future__ import annotations

from pathlib import Path

from quiesce.settings import CloudSettings, Credentials, HookSettings
from quiesce.variables import Key

SECRET_KEY = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"  # the documentation's example
TOKEN = "a-session-token-that-no-log-may-hold"


def cloud_settings(port: int, ca: Path | None, *, timeout_s: float = 3.0, region: str = "ap-guangzhou") -> CloudSettings:
    return CloudSettings(
        region=region,
        credentials=Credentials("AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", SECRET_KEY, TOKEN),
        endpoint=f"127.0.0.1:{port}",
        root_domain=None,
        ca=ca,
        timeout_s=timeout_s,
    )


def hook_settings(port: int, ca: Path, *, timeout_s: float = 3.0) -> HookSettings:
    return HookSettings(
        port=port,
        key=Key("k1", b"a shared secret of the tests"),
        ca=ca,
        client_certificate=None,
        client_key=None,
        timeout_s=timeout_s,
    )

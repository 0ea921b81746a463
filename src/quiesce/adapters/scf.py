"""Invoking this function itself, by the serverless SDK (``tencentserverless``).

The SDK has no setting for endpoint, certificate and timeout: it makes its own HttpProfile, with 300 s. So it is given
ours, in the one name by which its module knows that class. Importing it costs a third of a second; only a dispatch does.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.http_profile import HttpProfile

from quiesce.adapters.again import Again
from quiesce.adapters.tencent import MAX_MESSAGE, is_ambiguous, is_transient
from quiesce.errors import CloudError
from quiesce.settings import CloudSettings

ATTEMPTS = 3


class FunctionName(msgspec.Struct, frozen=True):
    """Which function this is, by SCF's own words (SCF documentation, context)."""

    name: str
    namespace: str
    qualifier: str

    @classmethod
    def of(cls, context: Mapping[str, object]) -> FunctionName:
        """Read it from the context of an invocation."""
        names = ("function_name", "namespace", "function_version")
        return cls(*(str(context.get(name) or default) for name, default in zip(names, _DEFAULTS, strict=True)))


_DEFAULTS = ("quiesce", "default", "$LATEST")


class Invoker:
    """Sends asynchronous events to one function."""

    def __init__(self, settings: CloudSettings, function: FunctionName) -> None:
        self._settings = settings
        self._function = function

    def invoke(self, event: Mapping[str, object]) -> None:
        """Have an event delivered, at least once; asked again when the answer was lost. Raises CloudError."""
        again = Again(attempts=ATTEMPTS, wait_initial_s=0.2, wait_max_s=2.0, wait_jitter_s=0.2)
        again.call(is_transient, lambda: self._invoke(event))

    def _invoke(self, event: Mapping[str, object]) -> None:
        try:
            self._client().invoke(
                self._function.name,
                namespace=self._function.namespace,
                qualifier=self._function.qualifier,
                invocation_type="Event",
                data=event,
            )
        except TencentCloudSDKException as error:
            raise _error(str(error.code), str(error.message)) from None
        except Exception as error:  # noqa: BLE001 - the SDK's own exception has no root, and it reads answers without looking
            raise _error(type(error).__name__, str(error)) from None

    def _client(self) -> Any:
        scf = load()
        scf.HttpProfile = self._profile
        credentials = self._settings.credentials
        return scf.Client(self._settings.region, credentials.secret_id, credentials.secret_key, credentials.token)

    def _profile(self, endpoint: str, **_: object) -> HttpProfile:
        settings = self._settings
        return HttpProfile(
            endpoint=settings.endpoint or endpoint,
            certification=str(settings.ca) if settings.ca else None,
            reqTimeout=settings.timeout_s,
            keepAlive=True,
        )


def load() -> Any:
    """Import the SDK; beforehand, to have it done while something else is waited for."""
    from tencentserverless import scf  # noqa: PLC0415 - see above

    logging.getLogger("tencentcloud_sdk_common").setLevel(logging.WARNING)
    return scf


def _error(code: str, message: str) -> CloudError:
    return CloudError(f"Invoke: {code}: {message[:MAX_MESSAGE]}", code=code, ambiguous=is_ambiguous(code))

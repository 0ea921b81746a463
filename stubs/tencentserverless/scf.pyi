# Types of the parts of tencentserverless that are used; it has none of its own.
from collections.abc import Callable, Mapping

from tencentcloud.common.profile.http_profile import HttpProfile as _HttpProfile

HttpProfile: Callable[..., _HttpProfile]

class Client:
    def __init__(
        self,
        region: str | None = ...,
        secret_id: str | None = ...,
        secret_key: str | None = ...,
        token: str | None = ...,
    ) -> None: ...
    def invoke(
        self,
        function_name: str,
        namespace: str = ...,
        log_type: str = ...,
        qualifier: str = ...,
        invocation_type: str = ...,
        data: Mapping[str, object] | None = ...,
    ) -> str: ...

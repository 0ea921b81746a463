from collections.abc import Mapping
from typing import Any

from tencentcloud.common.credential import Credential
from tencentcloud.common.http.request import ApiRequest
from tencentcloud.common.profile.client_profile import ClientProfile

class CommonClient:
    request: ApiRequest
    def __init__(
        self, service: str, version: str, credential: Credential, region: str, profile: ClientProfile | None = None
    ) -> None: ...
    def call_json(self, action: str, params: Mapping[str, Any]) -> Any: ...
    def call_octet_stream(self, action: str, headers: dict[str, str], body: bytes) -> Any: ...

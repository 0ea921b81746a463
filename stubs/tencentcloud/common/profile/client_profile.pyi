from tencentcloud.common.profile.http_profile import HttpProfile

class ClientProfile:
    def __init__(
        self, signMethod: str | None = None, httpProfile: HttpProfile | None = None, language: str = "zh-CN"
    ) -> None: ...

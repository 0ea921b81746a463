class TencentCloudSDKException(Exception):
    # A str for what the API answers; bytes for ServerNetworkError (the body).
    code: str
    message: str | bytes | None
    requestId: str | None
    def __init__(
        self, code: str | None = None, message: str | bytes | None = None, requestId: str | None = None
    ) -> None: ...

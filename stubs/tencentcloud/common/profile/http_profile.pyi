class HttpProfile:
    def __init__(
        self,
        protocol: str | None = None,
        endpoint: str | None = None,
        reqMethod: str = "POST",
        reqTimeout: float = 60,
        keepAlive: bool = False,
        proxy: str | None = None,
        rootDomain: str | None = None,
        certification: str | bool | None = None,
    ) -> None: ...

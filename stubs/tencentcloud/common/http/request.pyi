class ProxyConnection:
    timeout: float

class ApiRequest:
    conn: ProxyConnection
    host: str

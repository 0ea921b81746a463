"""A hook over real TLS for fuzzing: its keeper notes what reached it, and what was logged as an error is kept."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests
from requests.auth import AuthBase

from quiesced.auth import Signed, sign
from quiesced.messages import QuiesceAnswer, QuiesceRequest
from quiesced.peers import Peers
from tests.daemon.fake_keeper import FakeKeeper
from tests.daemon.hook_caller import KEY_ID, SECRET, Site, serving


class ForgetfulKeeper(FakeKeeper):
    """Grants every hold that is asked for."""

    def quiesce(self, request: QuiesceRequest) -> QuiesceAnswer:
        self.held = None
        return super().quiesce(request)


class Errors(logging.Handler):
    """Keeps what the daemon would log as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


@dataclass(frozen=True)
class Served:
    """A hook that is served, with its keeper and its errors."""

    site: Site
    keeper: ForgetfulKeeper
    port: int
    ca: Path
    errors: Errors = field(default_factory=Errors)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def is_well(self) -> bool:
        """Whether it still answers, and has logged no error."""
        answer = requests.get(f"{self.url}/healthz", verify=str(self.ca), timeout=10)
        return answer.ok and not self.errors.messages

    def holds(self) -> int:
        """Count the holds that were asked of the keeper."""
        return sum(isinstance(request, QuiesceRequest) for request in self.keeper.asked)


@contextmanager
def served(directory: Path, *, read_limit_s: float) -> Iterator[Served]:
    """Serve until the block ends. No address stays shut out: that is another test's business.

    ``read_limit_s`` is for a handshake, too, which takes long where everything else wants the processors.
    """
    site, keeper, minutes = Site(directory), ForgetfulKeeper(), itertools.count(0, 120)
    keeper.may_hold.set()
    ca = directory / "ca.pem"
    site.authority.cert_pem.write_to_path(str(ca))
    log = logging.getLogger("quiesced")
    with serving(keeper, site.listen(), peers=Peers(lambda: float(next(minutes))), read_limit_s=read_limit_s) as port:
        made = Served(site, keeper, port, ca)
        log.addHandler(made.errors)
        try:
            yield made
        finally:
            log.removeHandler(made.errors)


class Signing(AuthBase):
    """Signs the very request that is sent, with this key."""

    def __init__(self, secret: bytes = SECRET, **spoiled: str) -> None:
        self._secret = secret
        self._spoiled = spoiled

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else body
        made = sign(KEY_ID, self._secret, str(request.method), request.path_url, raw)
        request.headers.update(Signed(**{**vars(made), **self._spoiled}).headers())
        return request

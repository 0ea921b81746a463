"""Calling Tencent Cloud through its SDK: clients, timeouts, retried reads, and errors told apart.

``CommonClient`` and our own answer types instead of the SDK's product modules, for two reasons. The product clients
look for an error only in answers whose content type is exactly ``application/json``, and turn any other into an object
full of None; here the whole answer is seen. And compiling their models costs a cold start most of a second.

The SDK's default retryer (none) stays: its StandardRetryer repeats a call that has succeeded, which for CreateSnapshot
is a second snapshot.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import msgspec
import requests
from tencentcloud.common.common_client import CommonClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

from quiesce.adapters.again import Again
from quiesce.budget import READ_ATTEMPTS, READ_RETRY_S
from quiesce.errors import CloudError
from quiesce.settings import CloudSettings

# At DEBUG, which SCF's Python runtime sets for the root logger, the SDK logs Authorization and X-TC-Token.
logging.getLogger("tencentcloud_sdk_common").setLevel(logging.WARNING)

CREATED_ALL_THE_SAME = frozenset({"LimitExceeded.TagQuotaLimitExceeded"})
"""Refusals of a part of the work: the tag service's rate limit may leave a created snapshot behind."""
REFUSED = re.compile(
    r"(AuthFailure|Insufficient\w*|Invalid\w*|LimitExceeded|MissingParameter|NoSuchVersion|OperationDenied"
    r"|RequestLimitExceeded|Resource\w*|UnauthorizedOperation|UnknownParameter|Unsupported\w*)(\..*)?"
)
"""The codes that say that nothing was done (API reference, error codes). Any code that is not known to
say so is ambiguous: InternalError, a lost answer, and whatever is introduced after this was written."""
TRANSIENT = re.compile(r"(ClientNetworkError|ServerNetworkError|InternalError|RequestLimitExceeded|ResourceBusy)(\..*)?")
MAX_MESSAGE = 300

PAGE = 100
PAGES_AT_ONCE = 4
_AGAIN = Again(attempts=READ_ATTEMPTS, timeout_s=READ_RETRY_S, wait_initial_s=0.2, wait_max_s=2.0, wait_jitter_s=0.2)

T = TypeVar("T")
P = TypeVar("P", bound="Page")


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Base of what answers are made of. Fields not named are ignored: the cloud adds fields, and may leave any null."""


class Nothing(Answer, frozen=True):
    """An answer of which nothing is needed."""


class Page(Answer, frozen=True):
    """One page of a list. The total may not be missing: without it a short list looks whole."""

    total_count: int


class _Problem(Answer, frozen=True):
    code: str | None = None
    message: str | None = None


class _Response(msgspec.Struct, frozen=True):
    problem: _Problem | None = msgspec.field(name="Error", default=None)


class Cloud:
    """Makes clients from one invocation's settings. A frozen SCF instance kills idle connections, so none is kept."""

    def __init__(self, settings: CloudSettings, pace: Callable[[str], None] = lambda _action: None) -> None:
        """``pace`` is given the action before every read, and waits until it may be called."""
        self._settings = settings
        self._pace = pace
        self.region = settings.region

    def api(self, service: str, version: str) -> Api:
        """Open a client with a connection of its own; connecting happens at its first call."""
        credentials = self._settings.credentials
        client = CommonClient(
            service,
            version,
            Credential(credentials.secret_id, credentials.secret_key, credentials.token),
            self._settings.region,
            ClientProfile(httpProfile=self._http_profile(), language="en-US"),
        )
        keep_the_signature(client)
        hidden = tuple(text for text in (credentials.secret_key, credentials.token) if text)
        return Api(client, hidden=hidden, pace=self._pace)

    def _http_profile(self) -> HttpProfile:
        settings = self._settings
        return HttpProfile(
            endpoint=settings.endpoint,
            rootDomain=settings.root_domain or _root_domain(settings.region),
            certification=str(settings.ca) if settings.ca else None,
            reqTimeout=settings.timeout_s,
            keepAlive=True,
        )


def keep_the_signature(client: Any) -> None:
    """Have requests look for no host in ~/.netrc: what it finds there, it puts in the place of a client's signature.

    That is ``trust_env`` of the session that a client of the SDK has; HTTPS_PROXY and the CAs are read by the SDK itself.
    The SDK for Invoke makes its client where nobody can reach it, and is used in SCF alone, where there is no such file.
    """
    client.request.conn._session.trust_env = False


def _root_domain(region: str) -> str | None:
    """Financial regions answer under their own domain only (API reference, request structure)."""
    return f"{region}.tencentcloudapi.com" if region.endswith("-fsi") else None


class Api:
    """One client of one service; every method raises CloudError and nothing else. Not for two threads at a time."""

    def __init__(self, client: CommonClient, hidden: tuple[str, ...], pace: Callable[[str], None]) -> None:
        self._client = client
        self._hidden = hidden
        self._pace = pace

    @property
    def host(self) -> str:
        """Host, and port where there is one, that the calls go to."""
        return self._client.request.host

    def once(self, action: str, params: Mapping[str, object], answer: type[T], *, timeout_s: float | None = None) -> T:
        """Call exactly once. ``timeout_s``: for connecting, and for each wait for bytes; the settings' unless given."""
        if timeout_s is not None:
            # ApiRequest.set_req_timeout changes a number that nothing reads (SDK 3.1.195); this is the one that counts.
            self._client.request.conn.timeout = timeout_s
        return self._answer(action, lambda: self._client.call_json(action, params), answer)

    def read(self, action: str, params: Mapping[str, object], answer: type[T]) -> T:
        """Call an action that changes nothing, or that may be repeated without harm; retried within READ_RETRY_S."""
        return _AGAIN.call(is_transient, lambda: self._paced(action, params, answer))

    def _paced(self, action: str, params: Mapping[str, object], answer: type[T]) -> T:
        self._pace(action)
        return self.once(action, params, answer)

    def upload(self, action: str, headers: Mapping[str, str], body: bytes) -> None:
        """Send bytes instead of JSON, once."""
        self._answer(action, lambda: self._client.call_octet_stream(action, dict(headers), body), Nothing)

    def _answer(self, action: str, call: Callable[[], Any], kind: type[T]) -> T:
        try:
            response = call()["Response"]
            problem = msgspec.convert(response, type=_Response).problem
            if problem is None:
                return msgspec.convert(response, type=kind)
        except TencentCloudSDKException as error:
            # Not "from error": its text may hold what is hidden in ours.
            raise self._error(action, error.code, error.message, error.requestId) from None
        except (requests.RequestException, ValueError, LookupError, TypeError) as error:
            # The SDK lets these out when reading the body fails, or when the answer has not the shape of one.
            raise self._error(action, type(error).__name__, str(error), None) from None
        raise self._error(action, problem.code, problem.message, None)

    def _error(self, action: str, code: str | None, message: str | bytes | None, request_id: str | None) -> CloudError:
        text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
        for secret in self._hidden:
            text = text.replace(secret, "***")
        code = str(code or "UnknownError")
        request = f" (request {request_id})" if request_id else ""
        return CloudError(f"{action}: {code}: {text[:MAX_MESSAGE]}{request}", code=code, ambiguous=is_ambiguous(code))


class Reads(Protocol):
    """What pages are read by."""

    def read(self, action: str, params: Mapping[str, object], answer: type[T]) -> T:
        """See Api.read."""


def pages(api: Reads, action: str, params: Mapping[str, object], kind: type[P]) -> Iterator[P]:
    """Read a list page by page, lazily, with retries."""
    offset, total = 0, 1
    while offset < total:
        page = api.read(action, {**params, "Offset": offset, "Limit": PAGE}, kind)
        yield page
        offset, total = offset + PAGE, page.total_count


def is_ambiguous(code: str) -> bool:
    """Whether a call that ended with this code may have been carried out all the same."""
    return code in CREATED_ALL_THE_SAME or not REFUSED.fullmatch(code)


def is_transient(error: Exception) -> bool:
    """Whether a call that may be repeated without harm is worth repeating."""
    return isinstance(error, CloudError) and TRANSIENT.fullmatch(error.code) is not None

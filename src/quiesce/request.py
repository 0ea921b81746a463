"""From an event of SCF to a Request: who asks, for which policy, and by which key a second delivery is known.

Accepted: the timer trigger, events of EventBridge, and HTTP (``POST .../runs``, ``GET .../runs/<run id>`` and ``GET
.../report``) through a function URL or the older API Gateway. Shapes: SCF documentation, triggers and function URL. A
signed HTTP request carries

    X-Quiesce-Timestamp   seconds since 1970 in UTC, at most 300 s from our clock
    X-Quiesce-Signature   lower-case hex of HMAC-SHA256(secret, timestamp \\n idempotency key or nothing \\n body)
    Idempotency-Key       optional; requests with the same key and policy are one run
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timezone

import msgspec

from quiesce import bus_events, naming
from quiesce.errors import RequestError
from quiesce.policies import Policy
from quiesce.settings import HttpAuth, Settings
from quiesce.words import _, later

CLOCK_TOLERANCE_S = 300
MAX_BODY_BYTES = 65_536
_ACCEPTED = later(
    "accepted are the timer trigger, EventBridge events that a policy names, and through the function URL POST to a path "
    "ending in /runs and GET of /runs/<run id>?policy=<policy> and of /report?days=<days>"
)
_ONE_RUN = re.compile(rf".*/runs/({naming.RUN_ID.pattern})", re.ASCII)
_REPORT = re.compile(r".*/report", re.ASCII)
DEFAULT_DAYS, MAX_DAYS = 30, 366
"""How far back a report goes, unless it is said, and at most."""
_FUNCTION_URL_KEYS = frozenset({"httpMethod", "path", "headers", "queryString", "body"})
"""Everything that an event of a function URL has (SCF, function URL); one with more came through something else."""
FOLLOW_UP = "@follow-up"
"""What the timer of the follow-up carries instead of a policy's name."""
_TIMER_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Trigger(enum.Enum):
    """What started a run."""

    TIMER = "timer"
    HTTP = "http"
    EVENT = "event"
    MANUAL = "manual"


class Request(msgspec.Struct, frozen=True):
    """One thing to do. Equal ``run_id`` means the same run, however often it is delivered."""

    policy: str
    run_id: str
    trigger: Trigger
    request_id: str
    """SCF's id of this delivery; for logs only."""


class _Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST .../runs."""

    policy: str


class _HttpCall(msgspec.Struct, frozen=True):
    """The one shape that a function URL's event and an API Gateway event both become."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str]
    of_function_url: bool


class Question(msgspec.Struct, frozen=True):
    """What a run got: GET .../runs/<run id>?policy=<policy>."""

    policy: str
    run_id: str


class ReportQuestion(msgspec.Struct, frozen=True):
    """The report of the last days: GET .../report?days=<days>."""

    days: int


def is_follow_up(event: object) -> bool:
    """Whether an event is the follow-up's timer."""
    return isinstance(event, dict) and event.get("Type") == "Timer" and event.get("Message") == FOLLOW_UP


def parse(
    event: object,
    context: Mapping[str, object],
    settings: Settings,
    now: datetime,
    policies: Mapping[str, Policy] | None = None,
) -> Request | Question | ReportQuestion:
    """Read the event; raises RequestError that says what was wrong and what is accepted."""
    request_id = str(context.get("request_id") or "")
    delivered = bus_events.unwrap(event)
    if delivered is not None:
        policy, key = bus_events.policy_for(delivered, policies or {})
        return Request(policy, run_id(policy, key), Trigger.EVENT, request_id)
    if isinstance(event, dict) and event.get("Type") == "Timer":
        return _from_timer(event, request_id)
    if isinstance(event, dict) and "httpMethod" in event:
        return _from_http(_http_call(event), request_id, settings, now)
    raise RequestError(_("this is {kind}, which starts no run; {accepted}", kind=_kind(event), accepted=_(_ACCEPTED)))


def run_id(policy: str, run_key: str, scheduled_at: datetime | None = None) -> str:
    """Make the run's id from its key alone, short and fit for snapshot names; the time in it is the timer's, in UTC."""
    digest = hashlib.sha256(f"{policy}\n{run_key}".encode(errors="backslashreplace")).hexdigest()[:10]
    return f"{scheduled_at:%Y%m%dt%H%M}-{digest}" if scheduled_at else digest


def sign(secret: bytes, timestamp: str, idempotency_key: str, body: bytes) -> str:
    """Sign an HTTP request, as a caller must."""
    text = f"{timestamp}\n{idempotency_key}\n".encode() + body
    return hmac.new(secret, text, hashlib.sha256).hexdigest()


def _kind(event: object) -> str:
    if not isinstance(event, dict):
        return _("an event that is not an object")
    if "clslogs" in event:
        return _("a CLS event")
    if "EventType" in event:
        return _("a media processing event ({kind})", kind=event["EventType"])
    records = event.get("Records")
    if isinstance(records, list) and records and isinstance(records[0], dict):
        source = next((name for name in ("cos", "Ckafka", "CMQ") if name in records[0]), "queue")
        return _("a {source} event", source=source)
    return _("an unknown event (keys: {keys})", keys=", ".join(sorted(map(str, event))[:10]) or _("none"))


def _from_timer(event: Mapping[str, object], request_id: str) -> Request:
    """Read a timer event; SCF delivers it again with the same ``Time``, the scheduled moment in UTC."""
    policy, name = _text(event, "Message").strip(), _text(event, "TriggerName")
    if not policy:
        raise RequestError(_("the timer names no policy: set its message (CustomArgument) to the name of a policy"))
    try:
        scheduled_at = datetime.strptime(_text(event, "Time"), _TIMER_TIME).replace(tzinfo=timezone.utc)
    except ValueError:
        raise RequestError(
            _("the timer's Time must look like 2026-11-23T02:00:00Z, not {time!r}", time=event.get("Time"))
        ) from None
    run_key = f"{_text(event, 'Time')}\n{policy}\n{name}"
    return Request(policy, run_id(policy, run_key, scheduled_at), Trigger.TIMER, request_id)


def _text(event: Mapping[str, object], key: str) -> str:
    value = event.get(key)
    if not isinstance(value, str):
        raise RequestError(_("the event's {key} must be text; {accepted}", key=key, accepted=_(_ACCEPTED)))
    return value


def _from_http(call: _HttpCall, request_id: str, settings: Settings, now: datetime) -> Request | Question | ReportQuestion:
    if call.method == "GET" and _ONE_RUN.fullmatch(call.path):
        return _question(call, settings, now)
    if call.method == "GET" and _REPORT.fullmatch(call.path):
        return _report_question(call, settings, now)
    if not call.path.endswith("/runs"):
        raise RequestError(
            _("there is nothing at {path!r}; {accepted}", path=call.path[:200], accepted=_(_ACCEPTED)), status=404
        )
    if call.method != "POST":
        raise RequestError(
            _("{method} does nothing here; {accepted}", method=call.method[:20], accepted=_(_ACCEPTED)), status=405
        )
    idempotency_key = call.headers.get("idempotency-key", "")
    if not re.fullmatch(r"[!-~]{0,128}", idempotency_key):
        raise RequestError(_("Idempotency-Key must be at most 128 visible ASCII characters"))
    if settings.http_auth is HttpAuth.HMAC or not call.of_function_url:
        # CAM guards the function URL only, neither API Gateway nor a load balancer. A replay without a key of its own is
        # the same run.
        default_key = _verify(call, idempotency_key, settings.http_secret, now)
    else:
        default_key = request_id
    try:
        policy = msgspec.json.decode(call.body, type=_Order).policy
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(_('the body must be {{"policy": "<name>"}}: {error}', error=error)) from error
    return Request(policy, run_id(policy, idempotency_key or default_key), Trigger.HTTP, request_id)


def _question(call: _HttpCall, settings: Settings, now: datetime) -> Question:
    """Read a GET. Its signature is over what it asks for, ``/runs/<run id>?policy=<policy>``, in the place of a body."""
    found = _ONE_RUN.fullmatch(call.path)
    policy = call.query.get("policy", "")
    if not found or not policy:
        raise RequestError(_("a run is asked for with its policy: {accepted}", accepted=_(_ACCEPTED)))
    _verify_asked(call, f"/runs/{found[1]}?policy={policy}", settings, now)
    return Question(policy, found[1])


def _report_question(call: _HttpCall, settings: Settings, now: datetime) -> ReportQuestion:
    """Read a GET. Its signature is over ``/report`` or ``/report?days=<days>``, in the place of a body."""
    days = call.query.get("days")
    _verify_asked(call, "/report" if days is None else f"/report?days={days}", settings, now)
    if days is not None and not (re.fullmatch(r"[1-9]\d{0,2}", days, re.ASCII) and int(days) <= MAX_DAYS):
        raise RequestError(
            _("days must be a whole number from 1 to {max_days}, not {days!r}", max_days=MAX_DAYS, days=days[:20])
        )
    return ReportQuestion(DEFAULT_DAYS if days is None else int(days))


def _verify_asked(call: _HttpCall, asked: str, settings: Settings, now: datetime) -> None:
    """Check the signature of a GET, unless CAM has checked the caller."""
    if settings.http_auth is HttpAuth.HMAC or not call.of_function_url:
        _verify(msgspec.structs.replace(call, body=asked.encode(errors="replace")), "", settings.http_secret, now)


def _verify(call: _HttpCall, idempotency_key: str, secret: bytes | None, now: datetime) -> str:
    """Check the signature and return it."""
    if secret is None:
        raise RequestError(_("this function takes no signed requests: QUIESCE_HTTP_KEY is not set"), status=403)
    timestamp, signature = (call.headers.get(f"x-quiesce-{part}", "") for part in ("timestamp", "signature"))
    if not re.fullmatch(r"\d{1,11}", timestamp, re.ASCII) or not signature:
        raise RequestError(_("X-Quiesce-Timestamp (seconds since 1970) and X-Quiesce-Signature are needed"), status=401)
    if abs(now.timestamp() - int(timestamp)) > CLOCK_TOLERANCE_S:
        raise RequestError(
            _("X-Quiesce-Timestamp is more than {tolerance_s} s from our clock", tolerance_s=CLOCK_TOLERANCE_S),
            status=401,
        )
    expected = sign(secret, timestamp, idempotency_key, call.body)
    if not hmac.compare_digest(expected.encode(), signature.encode(errors="replace")):
        raise RequestError(_("X-Quiesce-Signature does not match: check the key, and sign the very bytes sent"), status=401)
    return signature


def _http_call(event: Mapping[str, object]) -> _HttpCall:
    return _HttpCall(
        method=_text(event, "httpMethod").upper(),
        path=_text(event, "path"),
        headers=_headers(event.get("headers")),
        body=_body(event),
        query=_query(event),
        of_function_url=event.keys() <= _FUNCTION_URL_KEYS,
    )


def _headers(headers: object) -> Mapping[str, str]:
    """Lower the names, and join several values by commas as HTTP does: no caller gets to choose which one counts."""
    found: dict[str, list[str]] = {}
    for name, value in (headers if isinstance(headers, dict) else {}).items():
        found.setdefault(str(name).lower(), []).extend(map(str, value if isinstance(value, list) else [value]))
    return {name: ", ".join(dict.fromkeys(values)) for name, values in found.items()}


def _query(event: Mapping[str, object]) -> Mapping[str, str]:
    query = event.get("queryString") or event.get("queryStringParameters")
    return {str(name): str(value) for name, value in query.items()} if isinstance(query, dict) else {}


def _body(event: Mapping[str, object]) -> bytes:
    body = event.get("body") or ""
    if not isinstance(body, str):
        raise RequestError(_("the event's body must be text"))
    encoded = event.get("isBase64Encoded") is True
    try:
        raw = base64.b64decode(body, validate=True) if encoded else body.encode()
    except ValueError as error:
        raise RequestError(
            _("the event's body is not {encoding}: {error}", encoding="base64" if encoded else "UTF-8", error=error)
        ) from error
    if len(raw) > MAX_BODY_BYTES:
        raise RequestError(_("the body is larger than {most} bytes", most=MAX_BODY_BYTES), status=413)
    return raw

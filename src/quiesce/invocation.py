"""One invocation, from event to answer: settings, request, run, and the two shapes of an answer."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TextIO

import msgspec

from quiesce import __version__, fleet, notifying, policies, request
from quiesce.adapters.deliver import deliver
from quiesce.adapters.logs import JsonLog
from quiesce.adapters.scf import FunctionName
from quiesce.collect import collect
from quiesce.errors import CloudError, PolicyError, QuiesceError, RequestError, SettingsError, UnfinishedError
from quiesce.report import HTTP_STATUS, Report, body_of
from quiesce.run import Run
from quiesce.settings import Settings
from quiesce.wiring import Wiring
from quiesce.words import _
from quiesce.worker import Worker


def handle(event: object, context: Mapping[str, object], env: Mapping[str, str], stdout: TextIO) -> object:
    """Do what the event asks for.

    HTTP callers get ``{isBase64Encoded, statusCode, headers, body}`` for everything, errors too. A timer's run returns
    its report, also when it failed (SCF would deliver a raised error twice more); only a request that could not even
    begin raises QuiesceError.
    """
    started_s = time.monotonic()
    is_http = _is_http(event)
    try:
        report = _run(event, context, env, stdout, started_s)
    except QuiesceError as error:
        JsonLog(stdout, common=_common(context), hidden=()).step(
            {"step": "request", "outcome": "refused", "kind": type(error).__name__, "reason": str(error)}
        )
        if not is_http:
            raise
        return _http(_status_of(error), {"error": {"kind": type(error).__name__, "message": _shown(error)}})
    if isinstance(report, str):
        return _answer(200, "text/html; charset=utf-8", report)
    if not isinstance(report, Report):
        return report
    return _http(HTTP_STATUS[report.status], body_of(report)) if is_http else msgspec.to_builtins(body_of(report))


def _run(
    event: object, context: Mapping[str, object], env: Mapping[str, str], stdout: TextIO, started_s: float
) -> Report | dict[str, int] | str:
    settings = Settings.from_env(env)
    log = JsonLog(stdout, common=_common(context), hidden=settings.secrets)
    try:
        return _carried_out(event, context, settings, log, started_s)
    except QuiesceError as error:
        # An HTTP caller is answered; what another delivery goes on with has not failed.
        if not _is_http(event) and not isinstance(error, UnfinishedError):
            message = notifying.of_refusal(error, str(context.get("request_id") or ""), settings.notify.on)
            deliver(message, settings.notify, log, {})
        raise


def _carried_out(
    event: object, context: Mapping[str, object], settings: Settings, log: JsonLog, started_s: float
) -> Report | dict[str, int] | str:
    """What only the rarer events need is not loaded for the others: a fleet waits for the start of its workers."""
    ends_s, known = _ends_s(context, started_s), policies.load(settings.policies)
    if request.is_follow_up(event):
        from quiesce.followup import follow_up  # noqa: PLC0415 - see above

        return follow_up(known, Wiring(settings, log))
    if fleet.is_batch(event):
        batch = fleet.read(event, settings.certificate_key)
        return Worker(batch, policies.named(known, batch.policy), settings, log).execute(ends_s=ends_s)
    asked = request.parse(event, context, settings, datetime.now(timezone.utc), known)
    if isinstance(asked, request.ReportQuestion):
        from quiesce import reporting  # noqa: PLC0415 - see above

        return reporting.served(asked, known, settings, ends_s=ends_s)
    policy = policies.named(known, asked.policy)
    if isinstance(asked, request.Question):
        return collect(asked, policy, Wiring(settings, log))
    return Run(asked, policy, settings, log, FunctionName.of(context)).execute(ends_s=ends_s)


def _is_http(event: object) -> bool:
    return isinstance(event, dict) and "httpMethod" in event


def _ends_s(context: Mapping[str, object], started_s: float) -> float:
    """When SCF ends this invocation, on our monotonic clock. Python is given the limit, not the time left."""
    limit_ms = context.get("time_limit_in_ms")
    if not isinstance(limit_ms, int | float) or limit_ms <= 0:
        raise RequestError(_("the context has no time_limit_in_ms, so whether the run fits cannot be known"), status=500)
    return started_s + limit_ms / 1000


def _common(context: Mapping[str, object]) -> dict[str, object]:
    return {"program": "quiesce", "version": __version__, "request_id": str(context.get("request_id") or "")}


def _status_of(error: QuiesceError) -> int:
    if isinstance(error, RequestError):
        return error.status
    return 502 if isinstance(error, CloudError) else 422 if isinstance(error, PolicyError) else 500


def _shown(error: QuiesceError) -> str:
    """What an HTTP caller may read: settings are checked before the caller has proven anything."""
    return _("the function is not set up; its log says what is wrong") if isinstance(error, SettingsError) else str(error)


def _http(status: int, body: Mapping[str, object]) -> dict[str, object]:
    return _answer(status, "application/json", json.dumps(msgspec.to_builtins(body), ensure_ascii=False))


def _answer(status: int, content_type: str, body: str) -> dict[str, object]:
    return {"isBase64Encoded": False, "statusCode": status, "headers": {"Content-Type": content_type}, "body": body}

"""What happens to one request: admitted or refused, delayed, carried out, answered, recorded."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from quiesce_lab.cloud import admission, tc3
from quiesce_lab.cloud.admission import Request
from quiesce_lab.cloud.catalog import Action
from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.errors import ApiError
from quiesce_lab.cloud.faults import Fault, FaultKind, Faults
from quiesce_lab.cloud.limits import RateLimiter
from quiesce_lab.cloud.model import Account
from quiesce_lab.cloud.record import Call, Record
from quiesce_lab.cloud.settings import Settings
from quiesce_lab.cloud.world import DEFAULT_REGION, World
from quiesce_lab.errors import LabError
from quiesce_lab.ports import BlockStore

_log = logging.getLogger("quiesce_lab.cloud")


@dataclass(frozen=True)
class Reply:
    """One HTTP answer. A ``body`` of None closes the connection without one."""

    body: bytes | None
    status: str = "200 OK"
    content_type: str = "application/json"
    """Exactly this: the SDK looks for errors in this type only (SDK, abstract_client._check_error)."""


_CLOSED = Reply(None)
_HTML = b"<html><body>The service is temporarily unavailable.</body></html>"


class Dispatcher:
    """Answers requests. ``pause`` waits, and is cut short when the cloud stops."""

    def __init__(
        self,
        *,
        world: World,
        blocks: BlockStore,
        settings: Settings,
        faults: Faults,
        record: Record,
        pause: Callable[[float], None],
    ) -> None:
        self._world = world
        self._blocks = blocks
        self._settings = settings
        self._faults = faults
        self._record = record
        self._pause = pause
        self._limiter = RateLimiter()

    def reply(self, request: Request) -> Reply:
        """Answer one request and finish its record."""
        request_id = str(uuid.uuid4())
        call = self._record.open(request.headers, arrived_at=request.arrived_at, request_id=request_id)
        try:
            reply = self._carry_out(request, call)
        except ApiError as error:
            reply = self._refuse(call, error)
        except LabError as error:
            reply = self._refuse(call, ApiError("InternalError", f"The lab's machine refused: {error}"))
        except Exception as error:  # noqa: BLE001 - the edge of the server: answer like the platform, keep the trace
            _log.exception("request %s failed", request_id)
            reply = self._refuse(call, ApiError("InternalError", f"The lab has a defect: {error!r}"))
        if reply.body is not None:
            self._record.note(call, answered_at=time.monotonic())
        return reply

    def _carry_out(self, request: Request, call: Call) -> Reply:
        action, account = self._admit(request, call)
        body = admission.fields_of(action, request)
        self._record.note(call, request=body)
        admission.check_form(action, body)
        fault = self._faults.take(action.name, body)
        self._record.note(call, fault=fault.kind.value if fault else None)
        estate = self._world.estate(account.uin, request.headers.get("x-tc-region") or DEFAULT_REGION)
        context = Context(
            world=self._world,
            estate=estate,
            blocks=self._blocks,
            settings=self._settings,
            record=self._record,
            call=call,
            body=body,
            payload=request.body or b"",
            fault=fault,
            latency_s=self._latency_s(action, fault),
            pause=self._pause,
        )
        return self._before(fault) or self._run(action, context)

    def _admit(self, request: Request, call: Call) -> tuple[Action, Account]:
        headers = request.headers
        if request.method != "POST" or request.path != "/":
            raise ApiError("UnsupportedProtocol", "The lab takes POST requests of the path / only.")
        if request.body is None:
            raise ApiError("RequestSizeLimitExceeded", "The request is longer than 10 MB.")
        claim = tc3.parse(headers.get("authorization", ""))
        self._record.note(call, secret_id=claim.secret_id, service=claim.service)
        known = self._world.account(claim.secret_id)
        account = tc3.verify(claim, headers, request.body, account=known, now_s=self._world.clock.time())
        action = admission.action_of(claim.service, headers)
        admission.check_region(action, headers)
        self._limiter.take(
            (account.uin, headers.get("x-tc-region", ""), action.name),
            limit=self._settings.rate_limit.get(action.name, action.service.per_second),
            now_s=self._world.clock.monotonic(),
        )
        return action, account

    def _latency_s(self, action: Action, fault: Fault | None) -> float:
        extra_s = fault.seconds if fault and fault.kind is FaultKind.SLOW else 0.0
        return self._settings.latency_s.get(action.name, 0.0) + extra_s

    def _run(self, action: Action, context: Context) -> Reply:
        if not action.keeps_time:
            self._pause(context.latency_s)
        with context.world.lock:
            gone = context.estate.drop_gone(context.now_s())
        for snapshot_id in gone:
            self._blocks.delete_snapshot(snapshot_id)
        answer = action.handle(context)
        return self._after(context, answer)

    def _before(self, fault: Fault | None) -> Reply | None:
        """Meet a fault that keeps the call from being carried out."""
        kind = fault.kind if fault else None
        if kind is FaultKind.THROTTLED:
            raise ApiError("RequestLimitExceeded", "The request limit is exceeded. Please retry later.")
        if fault and kind is FaultKind.REFUSE:
            raise ApiError(fault.code, "The lab was told to refuse this call.")
        if kind is FaultKind.HTTP_500:
            return Reply(_HTML, status="500 Internal Server Error", content_type="text/html")
        if fault and kind is FaultKind.HANG:
            self._pause(fault.seconds)
            return _CLOSED
        return None

    def _after(self, context: Context, answer: Answer) -> Reply:
        """Meet a fault that spoils the answer of a call that was carried out."""
        kind = context.fault.kind if context.fault else None
        if kind is FaultKind.ERROR_AFTER_SUCCESS:
            raise ApiError("InternalError", "An internal error has occurred.")
        if kind is FaultKind.LOST_RESPONSE:
            return _CLOSED
        if kind is FaultKind.NOT_JSON:
            return Reply(_HTML, content_type="text/html")
        if kind is FaultKind.NULL_SNAPSHOT_ID:
            answer = dict.fromkeys(answer, None)
        return _envelope(answer, context.call)

    def _refuse(self, call: Call, error: ApiError) -> Reply:
        self._record.note(call, error_code=error.code)
        return _envelope({"Error": {"Code": error.code, "Message": error.message}}, call)


def _envelope(content: Answer, call: Call) -> Reply:
    return Reply(json.dumps({"Response": {**content, "RequestId": call.request_id}}, ensure_ascii=False).encode())

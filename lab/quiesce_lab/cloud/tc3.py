"""The check of TC3-HMAC-SHA256 signatures, written from the documented steps and not from the SDK's signer."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from quiesce_lab.cloud.errors import ApiError
from quiesce_lab.cloud.model import Account

ALGORITHM = "TC3-HMAC-SHA256"
SKEW_S = 300
"""Five minutes, the documented difference between a timestamp and the server's clock (API 3.0, signature page)."""

_AUTHORIZATION = re.compile(
    ALGORITHM + r" Credential=(?P<secret_id>[^/\s,]+)/(?P<date>\d{4}-\d{2}-\d{2})/(?P<service>[a-z0-9]+)/tc3_request,"
    r" ?SignedHeaders=(?P<signed>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_MUST_BE_SIGNED = {"content-type", "host"}


@dataclass(frozen=True)
class Signature:
    """What an Authorization header claims."""

    secret_id: str
    date: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str


def parse(authorization: str) -> Signature:
    """Read an Authorization header. Raises ApiError ``AuthFailure.InvalidAuthorization``."""
    match = _AUTHORIZATION.fullmatch(authorization)
    signed = tuple(match["signed"].split(";")) if match else ()
    if not match or not _MUST_BE_SIGNED.issubset(signed):
        raise ApiError(
            "AuthFailure.InvalidAuthorization",
            f"The Authorization header must be '{ALGORITHM} Credential=<id>/<date>/<service>/tc3_request, "
            "SignedHeaders=content-type;host, Signature=<64 hex digits>'.",
        )
    return Signature(match["secret_id"], match["date"], match["service"], signed, match["signature"])


def canonical_request(headers: Mapping[str, str], signed_headers: tuple[str, ...], body: bytes) -> str:
    """Build the canonical form of a POST of ``/``; ``headers`` has lower-case names."""
    lines = [f"{name}:{headers.get(name, '').strip().lower()}\n" for name in signed_headers]
    return "\n".join(["POST", "/", "", "".join(lines), ";".join(signed_headers), hashlib.sha256(body).hexdigest()])


def string_to_sign(canonical: str, *, timestamp: str, date: str, service: str) -> str:
    """Build the text that the signature is made over."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return "\n".join([ALGORITHM, timestamp, f"{date}/{service}/tc3_request", digest])


def sign(secret_key: str, *, date: str, service: str, text: str) -> str:
    """Sign ``text`` with the key derived for one day and one service."""
    key = f"TC3{secret_key}".encode()
    for part in (date, service, "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def verify(claim: Signature, headers: Mapping[str, str], body: bytes, *, account: Account | None, now_s: float) -> Account:
    """Check key, token, age, date and signature, in this order, and return the account.

    Raises ApiError ``AuthFailure.*``; ``account`` is None for a key that nobody owns.
    """
    if account is None:
        raise ApiError("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
    if headers.get("x-tc-token") != account.token:
        raise ApiError("AuthFailure.TokenFailure", "The X-TC-Token header does not belong to this SecretId.")
    timestamp = _timestamp(headers)
    if abs(now_s - int(timestamp)) > SKEW_S:
        raise ApiError(
            "AuthFailure.SignatureExpire",
            f"X-TC-Timestamp and the server's clock differ by more than {SKEW_S} seconds.",
        )
    canonical = canonical_request(headers, claim.signed_headers, body)
    text = string_to_sign(canonical, timestamp=timestamp, date=claim.date, service=claim.service)
    expected = sign(account.secret_key, date=claim.date, service=claim.service, text=text)
    if claim.date != _utc_date(int(timestamp)) or not hmac.compare_digest(expected, claim.signature):
        raise ApiError(
            "AuthFailure.SignatureFailure",
            "The signature does not match the request. Check the key, the signed headers, the date and the body.",
        )
    return account


def _timestamp(headers: Mapping[str, str]) -> str:
    timestamp = headers.get("x-tc-timestamp", "")
    if not re.fullmatch(r"\d{1,12}", timestamp):
        raise ApiError("MissingParameter", "The header X-TC-Timestamp must hold a Unix timestamp in seconds.")
    return timestamp


def _utc_date(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, timezone.utc).strftime("%Y-%m-%d")

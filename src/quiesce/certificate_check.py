"""Checking certificates that were filed: in a report, in a run record, or alone."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from quiesce.certificate import VERSION, Certificate, SigningKey, is_genuine
from quiesce.errors import CertificateError
from quiesce.variables import MIN_SECRET
from quiesce.words import _


class Finding(enum.Enum):
    """What a check found."""

    GENUINE = "genuine"
    ALTERED = "altered"
    UNKNOWN_KEY = "unknown key"
    """Signed with a key that the reader does not have: nothing is known about it."""


@dataclass(frozen=True)
class Checked:
    """One certificate with what its signature says."""

    certificate: Certificate
    finding: Finding


def check(text: bytes, keys: Sequence[SigningKey]) -> tuple[Checked, ...]:
    """Check every certificate in a file. Raises CertificateError when there is none, or one that cannot be read."""
    known = {key.key_id: key for key in keys}
    found = tuple(Checked(certificate, _finding(certificate, known)) for certificate in _read(text))
    if not found:
        raise CertificateError(_("there is no certificate in it; give a certificate, a report, or a run record"))
    return found


def read_key(text: str) -> SigningKey:
    """Read ``<key id>:<secret>`` as QUIESCE_CERTIFICATE_KEY has it. Raises CertificateError, never with the secret."""
    key_id, _colon, secret = text.strip().partition(":")
    if not key_id or len(secret) < MIN_SECRET:
        raise CertificateError(
            _("a key is written <key id>:<secret>, the secret with at least {least} characters", least=MIN_SECRET)
        )
    return SigningKey(key_id, secret.encode())


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a certificate, as it is published in docs/certificate.schema.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Certificate)}


def _finding(certificate: Certificate, known: Mapping[str, SigningKey]) -> Finding:
    key = known.get(certificate.key_id)
    if key is None:
        return Finding.UNKNOWN_KEY
    return Finding.GENUINE if is_genuine(certificate, key) else Finding.ALTERED


def _read(text: bytes) -> Iterator[Certificate]:
    document = _json(text)
    for one in document if isinstance(document, list) else [document]:
        for raw in _raw(one):
            yield _certificate(raw)


def _raw(document: object) -> Iterator[Mapping[str, Any]]:
    """Find certificates where Quiesce puts them: alone, in a report's targets, in a run record's ``record``."""
    if not isinstance(document, dict):
        return
    if "signature" in document:
        yield document
    for target in document.get("targets") or ():
        if isinstance(target, dict) and target.get("certificate"):
            yield target["certificate"]
    record = document.get("record")
    if record:
        yield from _raw(_json(record) if isinstance(record, str) else record)


def _json(text: bytes | str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CertificateError(_("not JSON: {error}", error=error)) from error


def _certificate(raw: Mapping[str, Any]) -> Certificate:
    """Take it field by field: one that we do not fully understand is not vouched for."""
    if raw.get("version") != VERSION:
        raise CertificateError(
            _(
                "version {found!r} of certificates is not known here; this is for {version}",
                found=raw.get("version"),
                version=VERSION,
            )
        )
    try:
        return msgspec.convert(raw, type=Certificate)
    except msgspec.ValidationError as error:
        raise CertificateError(_("not a certificate of version {version}: {error}", version=VERSION, error=error)) from error

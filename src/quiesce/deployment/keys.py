"""The operator's directory of keys: the authority that signs the daemons' certificates, and the secret shared with them.

    ca-key.pem      key of the authority
    hook-ca.pem     its certificate, which QUIESCE_HOOK_CA names
    hook-key        <key id>:<secret>, which QUIESCE_HOOK_KEY holds

Everything in it is its owner's alone (0700, 0600), and anything else is refused.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quiesce.errors import DeploymentError
from quiesce.words import _

AUTHORITY_DAYS, CERTIFICATE_DAYS = 3650, 825
MIN_RSA_BITS = 2048
_CLOCKS_APART = timedelta(hours=1)


@dataclass(frozen=True)
class Keys:
    """What the directory holds. ``hook_secret`` is shared by the function and every daemon."""

    authority_key: ec.EllipticCurvePrivateKey = field(repr=False)
    authority: x509.Certificate
    hook_key_id: str
    hook_secret: bytes = field(repr=False)

    def certify(self, request: bytes, address: str, now: datetime) -> bytes:
        """Sign the key of a request for one address, and for nothing that the request asks for itself; returns PEM.

        Raises DeploymentError for a request that is none, or whose key is too weak.
        """
        public_key = _requested_key(request)
        key_identifier = x509.SubjectKeyIdentifier.from_public_key(self.authority_key.public_key())
        certificate = (
            _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "quiesced")]), now, CERTIFICATE_DAYS)
            .issuer_name(self.authority.subject)
            .public_key(public_key)
            .add_extension(x509.SubjectAlternativeName([_name(address)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_identifier), critical=False)
            .sign(self.authority_key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def encrypt_secret(self, public_key: bytes) -> bytes:
        """Encrypt the shared secret to an instance's key (RSA-OAEP, SHA-256). Raises DeploymentError."""
        try:
            key = serialization.load_pem_public_key(public_key)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise DeploymentError(_("the instance's public key cannot be read: {error}", error=error)) from error
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size < MIN_RSA_BITS:
            raise DeploymentError(_("the instance's public key is no RSA key of 2048 bits or more"))
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)
        return key.encrypt(self.hook_secret, oaep)


def open_keys(directory: Path, now: datetime) -> Keys:
    """Read the directory, and make whatever is missing in it; raises DeploymentError."""
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        _insist_private(directory)
        key_file, certificate_file, hook_file = (directory / name for name in ("ca-key.pem", "hook-ca.pem", "hook-key"))
        if key_file.exists() != certificate_file.exists():
            raise DeploymentError(
                _("{directory} has one of ca-key.pem and hook-ca.pem; put the other beside it", directory=directory)
            )
        if not key_file.exists():
            _make_authority(key_file, certificate_file, now)
        if not hook_file.exists():
            _write(hook_file, f"{now:%Y-%m}:{secrets.token_hex(32)}\n".encode())
        return _read(key_file, certificate_file, hook_file)
    except OSError as error:
        raise DeploymentError(_("cannot use the keys in {directory}: {error}", directory=directory, error=error)) from error


def _read(key_file: Path, certificate_file: Path, hook_file: Path) -> Keys:
    for file in (key_file, certificate_file, hook_file):
        _insist_private(file)
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # Not the error's own words: they may repeat what the file holds.
        raise DeploymentError(
            _(
                "{key_file} or {certificate_file} is not what it should be",
                key_file=key_file,
                certificate_file=certificate_file,
            )
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise DeploymentError(
            _("{key_file} is not the key of {certificate_file}", key_file=key_file, certificate_file=certificate_file)
        )
    key_id, _colon, secret = hook_file.read_text(encoding="utf-8").strip().partition(":")
    if not key_id or len(secret) < 32:
        raise DeploymentError(
            _("{hook_file} must hold <key id>:<secret>; move it away, and another is made", hook_file=hook_file)
        )
    return Keys(key, certificate, key_id, secret.encode())


def _make_authority(key_file: Path, certificate_file: Path, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"quiesced {now:%Y-%m-%d}")])
    certificate = (
        _builder(name, now, AUTHORITY_DAYS)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    _write(key_file, key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    _write(certificate_file, certificate.public_bytes(pem))


def _builder(subject: x509.Name, now: datetime, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(timezone.utc) - _CLOCKS_APART)
        .not_valid_after(now.astimezone(timezone.utc) + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _requested_key(request: bytes) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    try:
        read = x509.load_pem_x509_csr(request)
        key, own = read.public_key(), read.is_signature_valid
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DeploymentError(_("the instance's certificate request cannot be read: {error}", error=error)) from error
    strong = isinstance(key, ec.EllipticCurvePublicKey) or (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS
    )
    if not own or not strong:
        raise DeploymentError(_("the instance's certificate request is not signed with its own key, or the key is weak"))
    return key  # type: ignore[return-value]  # it is one of the two, as was just seen


def _name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _insist_private(path: Path) -> None:
    status = path.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise DeploymentError(
            _(
                "{path} must be yours and nobody else's: chmod {mode} {path}",
                path=path,
                mode="700" if path.is_dir() else "600",
            )
        )


def _write(path: Path, content: bytes) -> None:
    """Write a file that nobody else could read at any moment."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
    beside.rename(path)

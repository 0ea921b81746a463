"""The operator's directory of keys: what it makes, what it refuses, and what it signs."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from quiesce.deployment.keys import Keys, open_keys
from quiesce.errors import DeploymentError

NOW = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
PEM = serialization.Encoding.PEM


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def keys(directory: Path) -> Keys:
    return open_keys(directory, NOW)


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, *names: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "quiesced")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(PEM)


def public(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_the_directory_is_made_once_and_read_ever_after(directory: Path, keys: Keys) -> None:
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert sorted(files) == ["ca-key.pem", "hook-ca.pem", "hook-key"]
    again = open_keys(directory, NOW + timedelta(days=400))
    assert (again.hook_key_id, again.hook_secret) == (keys.hook_key_id, keys.hook_secret)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == files
    assert keys.hook_key_id == "2026-11"


def test_only_its_owner_can_read_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_keys(tmp_path / "keys", NOW)
    finally:
        os.umask(before)
    made = [tmp_path / "keys", *(tmp_path / "keys").iterdir()]
    assert [path.name for path in made if path.stat().st_mode & 0o077] == []


def test_a_request_for_another_name_is_signed_for_the_instances_address_alone(keys: Keys) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = x509.load_pem_x509_certificate(keys.certify(request(key, "db.example", "10.0.0.9"), "10.0.0.5", NOW))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["10.0.0.5"]
    assert certificate.public_key() == key.public_key()
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    certificate.verify_directly_issued_by(keys.authority)
    assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc


def test_the_authority_signs_daemons_and_no_other_authority(keys: Keys) -> None:
    constraints = keys.authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)


def test_what_is_encrypted_can_be_read_with_the_instances_key_alone(keys: Keys) -> None:
    key = rsa.generate_private_key(65537, 2048)
    encrypted = keys.encrypt_secret(public(key))
    assert keys.hook_secret not in encrypted
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label=None)
    assert key.decrypt(encrypted, oaep) == keys.hook_secret
    assert keys.encrypt_secret(public(key)) != encrypted


def altered(pem: bytes) -> bytes:
    """A request whose key is no longer the one that signed it."""
    der = x509.load_pem_x509_csr(pem).public_bytes(serialization.Encoding.DER)
    return x509.load_der_x509_csr(der[:-3] + bytes([der[-3] ^ 1]) + der[-2:]).public_bytes(PEM)


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(b"nothing of the kind", id="no request"),
        pytest.param(altered(request(ec.generate_private_key(ec.SECP256R1()))), id="signed with another key"),
        pytest.param(request(rsa.generate_private_key(65537, 1024)), id="a weak key"),
    ],
)
def test_a_request_that_proves_no_key_is_not_signed(keys: Keys, pem: bytes) -> None:
    with pytest.raises(DeploymentError):
        keys.certify(pem, "10.0.0.5", NOW)


@pytest.mark.parametrize("pem", [b"nothing of the kind", public(rsa.generate_private_key(65537, 1024))])
def test_nothing_is_encrypted_to_a_key_that_is_none_or_weak(keys: Keys, pem: bytes) -> None:
    with pytest.raises(DeploymentError):
        keys.encrypt_secret(pem)


@pytest.mark.parametrize("name", [".", "ca-key.pem", "hook-ca.pem", "hook-key"])
@pytest.mark.parametrize("mode", [0o040, 0o004, 0o020])
def test_anything_that_others_may_touch_is_refused(directory: Path, keys: Keys, name: str, mode: int) -> None:
    path = directory / name
    path.chmod(path.stat().st_mode | mode)
    with pytest.raises(DeploymentError, match="nobody else's"):
        open_keys(directory, NOW)


def test_half_an_authority_is_not_made_whole_by_another(directory: Path, keys: Keys) -> None:
    (directory / "ca-key.pem").unlink()
    with pytest.raises(DeploymentError, match="has one of"):
        open_keys(directory, NOW)
    assert not (directory / "ca-key.pem").exists()


def test_a_key_beside_the_certificate_of_another_is_refused(directory: Path, keys: Keys, tmp_path: Path) -> None:
    open_keys(tmp_path / "others", NOW)
    (directory / "ca-key.pem").write_bytes((tmp_path / "others/ca-key.pem").read_bytes())
    with pytest.raises(DeploymentError, match="is not the key of"):
        open_keys(directory, NOW)


def test_a_file_that_is_no_key_is_refused_and_not_repeated(directory: Path, keys: Keys) -> None:
    for name in ("hook-key", "ca-key.pem"):
        (directory / name).write_text("half-a-secret")
        with pytest.raises(DeploymentError) as refused:
            open_keys(directory, NOW)
        assert "half-a-secret" not in str(refused.value)

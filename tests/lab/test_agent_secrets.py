"""What passes through TAT when quiesced is installed, what is left of it, and who believes whom afterwards."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from quiesce.adapters.hook_client import HookClient
from quiesce.commands.exits import Exit
from quiesce.deployment import scripts
from quiesce.errors import AgentError
from quiesce.model import Limits
from quiesce.variables import Key
from quiesced.config import load
from tests.daemon.fake_keeper import FakeKeeper
from tests.daemon.hook_caller import serving
from tests.function.hook_calls import QUIESCE
from tests.function.settings_for import hook_settings
from tests.lab.desks import Desk, at_a_desk, modes, rows

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with at_a_desk(tmp_path, monkeypatch) as desk:
        yield desk


def test_each_certificate_is_of_the_authority_for_one_address_and_for_the_key_that_never_left(desk: Desk) -> None:
    desk.installs()
    authority = x509.load_pem_x509_certificate((desk.keys / "hook-ca.pem").read_bytes())
    private_keys = []
    for instance_id, address in (("ins-b", "127.0.0.1"), ("ins-c", "10.0.0.6")):
        tls = desk.etc(instance_id) / "tls"
        certificate = x509.load_pem_x509_certificate((tls / "certificate.pem").read_bytes())
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [str(name) for name in names.get_values_for_type(x509.IPAddress)] == [address]
        key = serialization.load_pem_private_key((tls / "private-key.pem").read_bytes(), None)
        assert key.public_key() == certificate.public_key()
        private_keys.append((tls / "private-key.pem").read_text())
    assert private_keys[0] != private_keys[1]


def test_nothing_secret_can_be_read_in_the_history_of_tat(desk: Desk) -> None:
    """DescribeInvocations shows every command, and DescribeInvocationTasks every output, to whoever may call them."""
    assert desk.installs().exit_code == 0
    history = desk.history()
    assert "BEGIN CERTIFICATE REQUEST" in history
    assert "BEGIN CERTIFICATE-----" in history
    secrets = [desk.secret(), (desk.keys / "ca-key.pem").read_text()]
    secrets += [(desk.etc(one) / "tls/private-key.pem").read_text() for one in desk.shells]
    lines = [line for secret in secrets for line in secret.splitlines() if len(line) > 20 and "-----" not in line]
    assert len(lines) > 6
    encoded = [base64.b64encode(line.encode()).decode().rstrip("=")[:-2] for line in lines]
    assert [line for line in [*lines, *encoded] if line in history] == []
    assert "PRIVATE KEY" not in history


def test_no_secret_is_printed_or_left_on_the_way(desk: Desk) -> None:
    result = desk.installs()
    assert desk.secret() not in result.output
    assert "PRIVATE KEY" not in result.output
    for instance_id in desk.shells:
        assert not (desk.root(instance_id) / "run/quiesced-install").exists()
        holders = [
            path
            for path in desk.root(instance_id).rglob("*")
            if path.is_file() and desk.secret().encode() in path.read_bytes()
        ]
        assert [path.parent.name for path in holders] == ["keys"]


def test_the_operators_keys_and_the_instances_are_private(desk: Desk) -> None:
    desk.installs()
    assert modes(desk.keys) == {0}
    assert modes(desk.etc("ins-b")) == {0}


def test_a_program_that_was_altered_on_its_way_is_not_installed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "pieces", lambda root, bundle: REAL_PIECES(root, bundle[:-5] + b"other"))
    result = desk.installs("--output", "json", whom=("--instance", "ins-b"))
    assert "is not the one that was sent" in rows(result)["ins-b"]["detail"]
    assert not (desk.root("ins-b") / "opt").exists()
    assert not desk.etc("ins-b").exists()


REAL_PIECES = scripts.pieces


def test_keys_that_others_may_read_are_refused(desk: Desk) -> None:
    desk.installs()
    (desk.keys / "ca-key.pem").chmod(0o640)
    desk.lab.cloud.record.clear()
    result = desk.installs()
    assert (result.exit_code, "chmod 600" in result.stderr) == (Exit.UNUSABLE, True)
    assert desk.lab.cloud.record.of("RunCommand") == ()


def test_a_bundle_from_a_url_is_the_same_bundle_or_none(desk: Desk) -> None:
    """curl is the instance's own; a file: URL stands for a bucket."""
    bundle = desk.directory / "bundle.tar.gz"
    assert desk.installs("--write-bundle", str(bundle)).exit_code == 0
    result = desk.installs("--bundle-url", bundle.as_uri(), whom=("--instance", "ins-b"))
    assert result.exit_code == 0, result.output
    assert len(desk.lab.cloud.record.of("RunCommand")) == 3
    bundle.write_bytes(bundle.read_bytes() + b"x")
    spoilt = desk.installs("--bundle-url", bundle.as_uri(), "--output", "json", whom=("--instance", "ins-c"))
    assert "is not the one that was sent" in rows(spoilt)["ins-c"]["detail"]


def test_the_functions_client_and_the_daemon_that_was_installed_believe_each_other(desk: Desk) -> None:
    """With what the operator gives the function, hook-ca.pem and hook-key, and the files that were placed."""
    desk.installs(whom=("--instance", "ins-b"))
    config = desk.etc("ins-b") / "quiesced.toml"
    text = config.read_text().replace('"/etc/quiesced', f'"{desk.etc("ins-b")}').replace("port = 9443", "port = 0")
    config.write_text(text)
    read = load(config)
    keeper = FakeKeeper()
    keeper.may_hold.set()
    with serving(keeper, read.listen, keys=read.keys) as port:
        assert _holds(port, desk.keys / "hook-ca.pem", (desk.keys / "hook-key").read_text().strip())
        assert not _holds(port, desk.keys / "hook-ca.pem", f"{next(iter(read.keys))}:another secret of 32 characters")
        assert not _holds(port, desk.lab.ca_file, (desk.keys / "hook-key").read_text().strip())


def _holds(port: int, ca: Path, variable: str) -> bool:
    key_id, _, secret = variable.partition(":")
    settings = msgspec.structs.replace(hook_settings(port, ca), key=Key(key_id, secret.encode()))
    client = HookClient("127.0.0.1", settings, Limits(2.0, 10.0))
    try:
        return client.quiesce(QUIESCE).state == "held"
    except AgentError:
        return False
    finally:
        client.close()

"""`quiesce agent` against the lab's TAT, whose commands really run, each instance in a directory of its own."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from quiesce.commands.exits import Exit
from quiesce.deployment import scripts, tat
from quiesce_lab.cloud import faults
from tests.lab.desks import STAGED, Desk, at_a_desk, rows

SEND_EVERY_S = tat.SEND_EVERY_S
"""As it is where no test has changed it."""

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with at_a_desk(tmp_path, monkeypatch) as desk:
        yield desk


def test_the_program_the_shared_key_and_a_certificate_of_its_own_are_on_every_instance(desk: Desk) -> None:
    result = desk.installs("--output", "json")
    assert result.exit_code == 0, result.output
    assert {one["outcome"] for one in rows(result).values()} == {"installed"}
    key_id, _, secret = (desk.keys / "hook-key").read_text().strip().partition(":")
    for instance_id, address in (("ins-b", "127.0.0.1"), ("ins-c", "10.0.0.6")):
        assert (desk.root(instance_id) / "opt/quiesced/quiesced.pyz").read_bytes() == desk.archive.read_bytes()
        assert (desk.etc(instance_id) / "keys" / key_id).read_text() == secret
        config = (desk.etc(instance_id) / "quiesced.toml").read_text()
        assert f'host = "{address}"' in config
        assert f'"{key_id}" = "/etc/quiesced/keys/{key_id}"' in config
        assert [path.name for path in (desk.etc(instance_id) / "keys").iterdir()] == [key_id]


def test_again_it_renews_the_certificate_and_leaves_keys_and_configuration_alone(desk: Desk) -> None:
    desk.installs()
    config, etc = desk.etc("ins-b") / "quiesced.toml", desk.etc("ins-b")
    config.write_text(config.read_text() + "# the owner's own\n")
    before = {path: path.read_bytes() for path in etc.rglob("*") if path.is_file()}
    desk.archive.write_bytes(b"the next program " * 3_000)
    assert desk.installs().exit_code == 0
    after = {path: path.read_bytes() for path in etc.rglob("*") if path.is_file()}
    assert {path.name for path in after if after[path] != before.get(path)} == {"certificate.pem"}
    assert (desk.root("ins-b") / "opt/quiesced/quiesced.pyz").read_bytes() == desk.archive.read_bytes()
    certificate = x509.load_pem_x509_certificate((etc / "tls/certificate.pem").read_bytes())
    key = serialization.load_pem_private_key((etc / "tls/private-key.pem").read_bytes(), None)
    assert certificate.public_key() == key.public_key()


def test_a_second_key_is_put_beside_the_first_and_the_owner_is_told_to_name_it(desk: Desk) -> None:
    desk.installs()
    (desk.keys / "hook-key").write_text("2099-01:" + "n" * 64 + "\n")
    result = desk.installs("--output", "json")
    assert "add to [keys]" in rows(result)["ins-b"]["detail"]
    assert (desk.etc("ins-b") / "keys/2099-01").read_text() == "n" * 64
    assert len(list((desk.etc("ins-b") / "keys").iterdir())) == 2


def test_instances_that_cannot_be_reached_are_said_and_skipped(desk: Desk) -> None:
    desk.add("ins-off", "10.0.0.7", online=False)
    desk.add("ins-win", "10.0.0.8", environment="Windows")
    desk.lab.cloud.world.add_instance("ins-bare", "10.0.0.9", {"quiesce": "yes"})
    desk.lab.cloud.world.add_instance("ins-still", "10.0.0.10", {"quiesce": "yes"}, "STOPPED")
    result = desk.installs("--output", "json")
    assert result.exit_code == Exit.NOT_WELL
    told = {one: row["detail"] for one, row in rows(result).items() if row["outcome"] == "skipped"}
    assert told == {
        "ins-off": "TAT's agent is Offline",
        "ins-win": "Windows: quiesced runs on Linux",
        "ins-bare": "TAT's agent was never seen on it",
        "ins-still": "it is STOPPED",
    }
    assert {one for one, row in rows(result).items() if row["outcome"] == "installed"} == {"ins-b", "ins-c"}


def test_an_instance_that_goes_away_in_between_does_not_take_the_others_with_it(desk: Desk) -> None:
    desk.lab.cloud.faults.set("RunCommand", faults.refuse("ResourceUnavailable.AgentStatusNotOnline"), times=2)
    result = desk.installs("--output", "json")
    outcomes = {one: row["outcome"] for one, row in rows(result).items()}
    assert (result.exit_code, sorted(outcomes.values())) == (Exit.NOT_WELL, ["failed", "installed"])


def test_an_instance_on_which_it_fails_is_said_with_the_reason_and_can_be_installed_later(desk: Desk) -> None:
    blocked = desk.shells["ins-c"].directory / "root" / STAGED
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a directory ought to be")
    result = desk.installs("--output", "json")
    assert (result.exit_code, rows(result)["ins-b"]["outcome"]) == (Exit.NOT_WELL, "installed")
    assert rows(result)["ins-c"]["outcome"] == "failed"
    assert "File exists" in rows(result)["ins-c"]["detail"] or "cannot create" in rows(result)["ins-c"]["detail"]
    blocked.unlink()
    assert desk.installs().exit_code == 0


def test_calls_that_are_too_many_are_made_again_a_little_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tat, "_THROTTLED_S", 0.01)
    desk.lab.cloud.faults.set("RunCommand", faults.throttled(), times=3)
    assert desk.installs().exit_code == 0


def test_a_dry_run_names_the_instances_and_runs_nothing(desk: Desk) -> None:
    desk.add("ins-off", "10.0.0.7", online=False)
    result = desk.installs("--dry-run", "--output", "json")
    assert {one: row["outcome"] for one, row in rows(result).items()} == {
        "ins-b": "would be installed",
        "ins-c": "would be installed",
        "ins-off": "skipped",
    }
    assert desk.lab.cloud.record.of("RunCommand") == ()
    assert not desk.keys.exists()


def test_how_far_it_is_stands_on_standard_error(desk: Desk) -> None:
    lines = desk.installs().stderr.splitlines()
    assert lines[-1] == "100 %  installing"
    assert any("carrying the program" in line for line in lines)


def test_an_instance_that_there_is_not_is_named(desk: Desk) -> None:
    result = desk.installs("--output", "json", whom=("--instance", "ins-b", "--instance", "ins-none"))
    assert (result.exit_code, rows(result)["ins-none"]["detail"]) == (Exit.NOT_WELL, "there is no such instance here")


@pytest.mark.parametrize(
    ("whom", "words"),
    [((), "name instances"), (("--tag", "quiesce"), "write KEY=VALUE"), (("--tag", "no=one"), "no instance")],
)
def test_nobody_to_install_on_is_an_error(desk: Desk, whom: tuple[str, ...], words: str) -> None:
    result = desk.installs(whom=whom)
    assert result.exit_code in (Exit.UNUSABLE, Exit.NOT_WELL)
    assert words in result.stderr


def test_status_tells_installed_from_not_installed_and_old_from_new(desk: Desk) -> None:
    desk.installs(whom=("--instance", "ins-b"))
    seen = desk.runs("status", "--output", "json")
    assert seen.exit_code == Exit.NOT_WELL
    assert (rows(seen)["ins-b"]["outcome"], rows(seen)["ins-b"]["program"]) == ("well", "ours")
    assert (rows(seen)["ins-c"]["outcome"], rows(seen)["ins-c"]["detail"]) == ("not well", "quiesced is not installed")
    desk.archive.write_bytes(b"the next program")
    later = rows(desk.runs("status", "--output", "json"))["ins-b"]
    assert (later["program"], "to upgrade" in later["detail"]) == ("other", True)


def test_status_changes_nothing(desk: Desk) -> None:
    desk.installs()
    before = {path: path.read_bytes() for path in desk.root("ins-b").rglob("*") if path.is_file()}
    assert desk.runs("status").exit_code == 0
    assert {path: path.read_bytes() for path in desk.root("ins-b").rglob("*") if path.is_file()} == before


def test_within_the_limits_of_tat_no_call_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real program comes in some forty pieces, and TAT takes twenty calls in a second."""
    monkeypatch.setattr(tat, "SEND_EVERY_S", SEND_EVERY_S)
    desk.lab.cloud.settings.rate_limit = {}
    desk.archive.write_bytes(random.Random(1).randbytes(40 * scripts.PIECE_BYTES))
    result = desk.installs()
    assert result.exit_code == 0, result.output
    assert len(desk.lab.cloud.record.of("RunCommand")) >= 40
    assert {call.error_code for call in desk.lab.cloud.record.calls} == {None}
    assert max(len(one) for one in desk.shells["ins-b"].scripts) <= 64 * 1024 * 3 / 4

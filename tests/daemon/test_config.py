"""The configuration is accepted as a whole, or refused with every problem and its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from quiesced.config import Config, load
from quiesced.errors import ConfigError
from quiesced.quiescers import registry

EXAMPLE = Path(__file__).parents[2] / "hooks" / "quiesced.example.toml"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    for name in ("hook.key", "private.pem", "mysql.password"):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "certificate.pem").write_text("not read here")
    return tmp_path


def text(etc: Path, **replaced: str) -> str:
    parts = {
        "top": "",
        "listen": f'host = "10.0.0.5"\nport = 8443\ncertificate = "{etc}/certificate.pem"\n'
        f'private_key = "{etc}/private.pem"',
        "keys": f'"2026-11" = "{etc}/hook.key"',
        "limits": "acquire_limit_s = 2\nhold_limit_s = 10.5",
        "application": f'name = "orders"\nengine = "mysql"\nsocket = "/run/mysqld.sock"\nuser = "quiesced"\n'
        f'password_file = "{etc}/mysql.password"',
        **replaced,
    }
    sections = "".join(f"[{name}]\n{parts[name]}\n" for name in ("listen", "keys", "limits"))
    return f"{parts['top']}\n{sections}\n[[application]]\n{parts['application']}\n"


def loaded(etc: Path, **replaced: str) -> Config:
    path = etc / "quiesced.toml"
    path.write_text(text(etc, **replaced))
    return load(path, registry.problems)


def problems(etc: Path, **replaced: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        loaded(etc, **replaced)
    return [problem.replace(f"{etc}/quiesced.toml: ", "") for problem in raised.value.problems]


def test_a_good_file_is_read_with_its_defaults(etc: Path) -> None:
    config = loaded(etc)
    assert (config.listen.host, config.listen.port, config.listen.client_ca) == ("10.0.0.5", 8443, None)
    assert config.keys == {"2026-11": b"0123456789abcdef0123456789abcdef"}
    assert (config.limits.acquire_limit_s, config.limits.hold_limit_s) == (2.0, 10.5)
    assert config.disk_by_id_dir == Path("/dev/disk/by-id")
    assert config.state_dir == Path("/run/quiesced")
    assert config.expedite_freeze
    assert [application.name for application in config.applications] == ["orders"]


def test_no_secret_is_shown_in_a_repr(etc: Path) -> None:
    config = loaded(etc)
    assert "0123456789" not in repr(config)
    assert "0123456789" not in repr(vars(registry.build(config.applications[0])))


PROBLEMS: dict[str, tuple[dict[str, str], str]] = {
    "unknown key at the top": ({"top": "wat = 1"}, "wat: is not a known key"),
    "unknown key in a table": ({"limits": "acquire_limit_s = 1\nhold_limit_s = 2\nhodl = 3"}, "limits.hodl: is not a known"),
    "missing limit": ({"limits": "acquire_limit_s = 1"}, "limits.hold_limit_s: is missing"),
    "limit of a wrong type": ({"limits": 'acquire_limit_s = "1"\nhold_limit_s = 2'}, "limits.acquire_limit_s: must be"),
    "limit that is a truth value": ({"limits": "acquire_limit_s = true\nhold_limit_s = 2"}, "limits.acquire_limit_s"),
    "limit that is no number": ({"limits": "acquire_limit_s = nan\nhold_limit_s = 2"}, "limits.acquire_limit_s"),
    "no key": ({"keys": ""}, "keys: must name at least one key"),
    "missing secret": ({"keys": 'a = "/no/such"'}, "keys.a: /no/such: cannot be read"),
    "relative path": ({"keys": 'a = "hook.key"'}, "keys.a: must be an absolute path"),
    "bad key id": ({"keys": '"a b" = "/no/such"'}, "keys.a b: a key id must match"),
    "missing certificate": (
        {"listen": 'host = "::"\nport = 1\ncertificate = "/no/such"\nprivate_key = "/no/key"'},
        "listen.certificate: no such file: /no/such",
    ),
    "port out of range": ({"listen": 'host = "::"\nport = 70000'}, "listen.port: must be a whole number"),
    "unknown engine": ({"application": 'name = "a"\nengine = "oracle"'}, "application[0].engine: must be one of"),
    "missing engine option": ({"application": 'name = "a"\nengine = "mysql"'}, "application[0].socket: is missing"),
    "unknown engine option": (
        {"application": 'name = "a"\nengine = "sqlite"\npath = "/a.db"\nusr = "x"'},
        "application[0].usr: is not a known key",
    ),
    "bad application name": ({"application": 'name = "a b"\nengine = "sqlite"\npath = "/a"'}, "application[0].name"),
    "two applications of one name": (
        {
            "application": 'name = "a"\nengine = "sqlite"\npath = "/a"\n'
            '[[application]]\nname = "a"\nengine = "sqlite"\npath = "/b"'
        },
        "application[1].name: 'a' is taken",
    ),
    "never_freeze of relative paths": ({"top": 'never_freeze = ["srv"]'}, "never_freeze: must be an array of absolute"),
    "flag of a wrong type": ({"top": "expedite_freeze = 1"}, "expedite_freeze: must be true or false"),
    "applications that are no tables": ({"application": 'name = "a"\nengine = "sqlite"\npath = 3'}, "application[0].path"),
}


@pytest.mark.parametrize(("replaced", "words"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_a_problem_is_named_with_its_place(etc: Path, replaced: dict[str, str], words: str) -> None:
    assert any(problem.startswith(words) for problem in problems(etc, **replaced)), problems(etc, **replaced)


def test_every_problem_is_named_at_once(etc: Path) -> None:
    found = problems(
        etc,
        top="wat = 1",
        limits="acquire_limit_s = 0\nhold_limit_s = 0",
        application='name = ""\nengine = "mysql"\nsocket = "run"\nuser = ""\nlong_statement_s = -1',
    )
    places = [problem.partition(":")[0] for problem in found]
    for place in (
        "wat",
        "limits.acquire_limit_s",
        "limits.hold_limit_s",
        "application[0].name",
        "application[0].socket",
        "application[0].user",
        "application[0].long_statement_s",
    ):
        assert place in places


@pytest.mark.parametrize("name", ["hook.key", "private.pem", "mysql.password"])
def test_a_secret_that_others_may_read_is_refused_and_not_shown(etc: Path, name: str) -> None:
    (etc / name).chmod(0o604)
    found = problems(etc)
    assert [problem for problem in found if f"run chmod 0600 {etc / name}" in problem]
    assert "0123456789" not in "".join(found)


@pytest.mark.parametrize("name", ["quiesced.toml", "certificate.pem", "hook.key", "private.pem", "mysql.password"])
@pytest.mark.parametrize("mode", [0o620, 0o602], ids=["group", "others"])
def test_a_file_that_others_may_write_is_refused_with_the_command_that_helps(etc: Path, name: str, mode: int) -> None:
    (etc / "quiesced.toml").touch()
    (etc / name).chmod(mode)
    helps = (f"run chmod go-w {etc / name}", f"run chmod 0600 {etc / name}")
    assert any(problem.endswith(helps) for problem in problems(etc))


def test_a_directory_that_others_may_write_is_refused(etc: Path) -> None:
    """Who may write the directory may put another file in the place of ours."""
    etc.chmod(0o770)
    assert problems(etc) == [f"others may write {etc}; run chmod go-w {etc}"]


def test_a_link_is_judged_by_the_file_it_leads_to(etc: Path) -> None:
    (etc / "hook.key").rename(etc / "real.key")
    (etc / "hook.key").symlink_to(etc / "real.key")
    assert loaded(etc).keys
    (etc / "real.key").chmod(0o620)
    assert any(f"run chmod go-w {etc / 'real.key'}" in problem for problem in problems(etc))


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
@pytest.mark.parametrize("name", ["quiesced.toml", "certificate.pem", "hook.key"])
def test_a_file_of_another_user_is_refused(etc: Path, name: str) -> None:
    (etc / "quiesced.toml").touch()
    os.chown(etc / name, 65534, 65534)
    assert any(f"run chown root {etc / name}" in problem for problem in problems(etc))


def test_what_is_readable_by_its_group_alone_is_fine(etc: Path) -> None:
    """The daemon's own group reads what root owns."""
    etc.chmod(0o750)
    for name in ("hook.key", "private.pem", "mysql.password"):
        (etc / name).chmod(0o640)
    assert loaded(etc).keys


def test_a_short_secret_is_refused_and_not_shown(etc: Path) -> None:
    (etc / "hook.key").write_text("hunter2")
    (problem,) = problems(etc)
    assert "at least 16 characters" in problem and "hunter2" not in problem


def test_a_file_that_is_not_toml_is_refused_with_its_line(etc: Path) -> None:
    (etc / "quiesced.toml").write_text("[listen\n")
    with pytest.raises(ConfigError, match="line 1"):
        load(etc / "quiesced.toml")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "quiesced.toml")


def test_the_example_names_every_key_and_nothing_else(etc: Path) -> None:
    """Commented lines of settings are settings, too: all of them together are a good file."""
    lines = EXAMPLE.read_text().splitlines()
    shown = "\n".join(line[1:] if line.startswith("#") and not line.startswith("# ") else line for line in lines)
    (etc / "quiesced.toml").write_text(shown.replace("/etc/quiesced/", f"{etc}/"))
    for name in ("keys/2026-11", "client-ca.pem", "tls/private-key.pem", "tls/certificate.pem"):
        (etc / name).parent.mkdir(exist_ok=True)
        (etc / name).touch(mode=0o600)
        (etc / name).write_text("0123456789abcdef")
    for application in ("orders", "ledger", "cache"):
        (etc / f"{application}.password").touch(mode=0o600)
    config = load(etc / "quiesced.toml", registry.problems)
    assert {application.engine for application in config.applications} == set(registry.ENGINES)
    assert config.listen.client_ca and config.never_freeze


def test_a_quiescer_is_built_for_every_application(etc: Path) -> None:
    config: Any = loaded(etc)
    (quiescer,) = (registry.build(application) for application in config.applications)
    assert (quiescer.name, quiescer.engine) == ("orders", "mysql")

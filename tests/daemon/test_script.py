"""Scripts that are called, and give their word only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from quiesced.errors import Refused
from quiesced.quiescers.base import Budget, HeldBy
from quiesced.quiescers.script.files import read_options
from quiesced.quiescers.script.process import MAX_BYTES, started
from tests.daemon.scenes import SCENE
from tests.daemon.script_holds import PLENTY, calls, directory, prepare, program, quiescer, take
from tests.waiting import wait_until


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "queue"


def code_of(script: Path, body: str, *, timeout_s: float = 5.0) -> tuple[str, str]:
    """Refuse a hold by a script that does this."""
    held = quiescer(program(script, body), timeout_s=timeout_s)
    with pytest.raises(Refused) as raised:
        prepare(held).quiesce(PLENTY)
    return raised.value.code, str(raised.value)


def test_a_script_without_json_gives_its_word_and_no_more(script: Path) -> None:
    hold = take(quiescer(program(script, "note(word); print('all is well')")))
    witness = hold.witness()
    hold.release()
    assert hold.held_by is HeldBy.WORD
    assert (witness.held_by, witness.session_alive, witness.lock_shown, witness.durable) == ("word", False, False, False)
    assert witness.position == {}
    assert calls(script) == ["check", "quiesce", "release"]


@pytest.mark.parametrize("releases", [1, 2, 0])
@pytest.mark.parametrize("dies", ["before", "during", "after"])
def test_whatever_becomes_of_a_script_release_is_called_for_what_it_began(script: Path, dies: str, releases: int) -> None:
    word = {"before": "quiesce", "during": "", "after": "release"}[dies]
    body = f"note(word)\nif word == {word!r}:\n    os.kill(os.getpid(), 9)\n"
    held = quiescer(program(script, body))
    hold = prepare(held)
    if dies == "before":
        with pytest.raises(Refused, match="status -9"):
            hold.quiesce(PLENTY)
    else:
        hold.quiesce(PLENTY)
    for _ in range(releases):
        hold.release()
    if not releases:
        held.heal(hold.leftover)
    assert calls(script)[:2] == ["check", "quiesce"]
    assert set(calls(script)[2:]) == {"release"}


def test_arguments_reach_the_script_as_they_are_written(script: Path) -> None:
    odd = ["two words", "$HOME", "`id`", "; rm -rf x", "*", "a'b\"c", "", "new\nline"]
    program(script, "note(repr(arguments) + word)")
    assert quiescer(script, *odd).check(SCENE).refusals == ()
    assert calls(script) == [repr(odd) + "check"]


def test_the_environment_is_the_documented_one(script: Path) -> None:
    take(quiescer(program(script, "note(' '.join(sorted(os.environ)))"))).release()
    base = "LANG PATH QUIESCED_APPLICATION"
    assert calls(script)[0].replace("LC_CTYPE ", "") == base
    assert "QUIESCED_ACQUIRE_LIMIT_S QUIESCED_APPLICATION QUIESCED_HOLD_LIMIT_S" in calls(script)[1]


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        ("sys.exit('no such queue')", "application_unreachable", "status 1: no such queue"),
        ("sys.exit(75)", "blocked", "status 75"),
        ("print('{nonsense')", "application_unreachable", "not one JSON object"),
        ('print(\'{"paths": [], "level": 1}\')', "application_unreachable", "level"),
        ("print('x' * 100_000)", "application_unreachable", f"more than {MAX_BYTES} bytes"),
    ],
)
def test_a_script_that_fails_or_talks_nonsense_is_refused(script: Path, body: str, code: str, says: str) -> None:
    found, message = code_of(script, body)
    assert found == code and says in message


def test_much_on_standard_error_stops_nobody(script: Path) -> None:
    take(quiescer(program(script, "sys.stderr.write('x' * 1_000_000)"))).release()


def test_a_script_that_hangs_is_killed_with_everything_that_it_started(script: Path) -> None:
    body = "child = subprocess.Popen(['sleep', '60'])\nnote(f'{child.pid} {os.getpid()}')\ntime.sleep(60)"
    code, message = code_of(script, body, timeout_s=0.5)
    assert (code, "was killed" in message) == ("application_unreachable", True)
    grandchild = int(calls(script)[0].split()[0])
    wait_until(lambda: not started(grandchild) or " Z " in Path(f"/proc/{grandchild}/stat").read_text())


def test_a_hold_that_is_cancelled_does_not_wait_for_its_script(script: Path) -> None:
    hold = prepare(quiescer(program(script, "if word == 'quiesce':\n    time.sleep(60)"), timeout_s=30.0))
    left = iter([1.0, 1.0, 1.0])
    with pytest.raises(Refused) as raised:
        hold.quiesce(Budget(lambda: next(left, 0.0), 10.0))
    assert raised.value.code == "acquire_timeout"


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_script_that_others_may_change_is_not_run(script: Path, mode: int) -> None:
    program(script, "note(word)").chmod(mode)
    (refusal,) = quiescer(script).check(SCENE).refusals
    assert "chmod go-w" in refusal.message
    assert calls(script) == []


def test_a_script_in_a_directory_that_others_may_change_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "open" / "inner").mkdir(parents=True)
    script = program(tmp_path / "open" / "inner" / "queue", "note(word)")
    (tmp_path / "open").chmod(0o777)
    (refusal,) = quiescer(script).check(SCENE).refusals
    assert f"others may write {tmp_path / 'open'}" in refusal.message
    assert calls(script) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_a_script_of_another_user_is_not_run(script: Path) -> None:
    os.chown(program(script, "note(word)"), 65534, 65534)
    (refusal,) = quiescer(script).check(SCENE).refusals
    assert "belongs to another user" in refusal.message
    assert calls(script) == []


def test_the_owner_is_looked_at_again_before_every_run(script: Path) -> None:
    hold = prepare(quiescer(program(script, "note(word)")))
    script.chmod(0o777)
    with pytest.raises(Refused, match="chmod go-w"):
        hold.quiesce(PLENTY)
    assert calls(script) == ["check"]


def test_a_directory_runs_in_order_and_releases_in_reverse(tmp_path: Path) -> None:
    home = tmp_path / "hooks"
    home.mkdir()
    for name in ("20-second", "10-first"):
        program(home / name, f"open({str(tmp_path / 'all')!r}, 'a').write(word + {name!r} + ' ')")
    (home / "README").write_text("not executable")
    take(directory(home)).release()
    said = (tmp_path / "all").read_text().split()
    assert said[2:] == ["quiesce10-first", "quiesce20-second", "release20-second", "release10-first"]


def test_a_directory_with_a_copy_of_an_editor_is_refused(tmp_path: Path) -> None:
    program(tmp_path / "queue~", "")
    (refusal,) = directory(tmp_path).check(SCENE).refusals
    assert "queue~ is executable" in refusal.message


@pytest.mark.parametrize("content", [{}, {"command": ["x"]}, {"command": []}, {"command": ["/x"], "directory": "/y"}])
def test_options_that_name_no_script_are_refused(content: dict[str, object]) -> None:
    assert read_options(content, "application[0]")[1]

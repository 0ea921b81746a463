"""The daemon's command speaks the language of whoever reads it; to programs it speaks English."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from quiesced import listing
from quiesced.config import load
from quiesced.errors import ConfigError
from quiesced.messages import CheckAnswer, Filesystem
from quiesced.rehearsal import pages
from quiesced.rehearsal.report import GUARDIAN, Held, Killed, Report, Stalled, Thawed, reason
from tests.daemon.hook_caller import ask, connected
from tests.daemon.test_cli import Host, host

__all__ = ["host"]  # the fixture

CHECK = CheckAnswer(True, (), (), (Filesystem("/data", "disk-1", "ext4"), Filesystem("/log", "disk-2", "xfs")), 0)
HELD = Held(0.5, True, (), (Stalled("/data", 0.51, 0.001),))
KILLED = Killed((Thawed("/data", 0.004),), 0.012, GUARDIAN)
REPORT = Report(
    "0.1.0", "2026-11-26T12:00:00+00:00", "the running service, over its own port", ("disk-1",), CHECK, HELD, KILLED
)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ["safe to enable", "stall          510.0 ms for the slowest write", "by the guardian"]),
        ("zh_CN", ["可以安全启用", "停顿           最慢的写入等待 510.0 ms", "由 guardian 完成"]),
        ("pt_BR", ["seguro para habilitar", "espera         510.0 ms para a gravação mais lenta", "por o guardião"]),
    ],
)
def test_a_rehearsal_is_reported_in_the_language_that_is_asked_for(
    language: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIESCE_LANGUAGE", language)
    text, page = pages.text(REPORT), pages.html(REPORT)
    assert [words for words in said if words not in text] == []
    assert f'<html lang="{language.replace("_", "-")}">' in page and said[0] in page
    assert '"verdict": "safe to enable"' in pages.json_text(REPORT)


def test_what_to_do_is_said_in_that_language_too_and_the_code_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUIESCE_LANGUAGE", "zh_CN")
    text = pages.text(replace(REPORT, reasons=(reason("left_held", "?"),)))
    assert "不安全  left_held: ?" in text and "运行：quiesced heal" in text


@pytest.mark.parametrize(("language", "disk"), [("en", "DISK"), ("zh_CN", "云硬盘")])
def test_the_columns_of_a_table_stand_below_each_other_however_wide_its_characters(
    language: str, disk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIESCE_LANGUAGE", language)
    lines = listing.lines(CHECK)
    found = list(map(column_of, lines, (disk, disk, "disk-1", "disk-2")))
    assert found == [found[0]] * 4


def column_of(line: str, words: str) -> int:
    before = line[: line.index(words)]
    return len(before) + sum(unicodedata.east_asian_width(one) in "WF" for one in before)


def test_problems_of_a_configuration_are_said_in_that_language(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUIESCE_LANGUAGE", "pt_BR")
    host.config.write_text(host.config.read_text().replace("hold_limit_s = 20", "hold_limit_s = 0\nwat = 1"))
    with pytest.raises(ConfigError) as raised:
        load(host.config, lambda *_: ())
    assert raised.value.problems == (
        f"{host.config}: limits.hold_limit_s: devem ser segundos acima de 0 e no máximo 3600",
        f"{host.config}: limits.wat: não é uma chave conhecida; veja quiesced.example.toml",
    )


def test_the_service_speaks_english_to_the_function_and_the_command_speaks_to_its_reader(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with host.config.open("a") as config:
        config.write(f'[[application]]\nname = "job"\nengine = "script"\ncommand = ["{tmp_path}/gone"]\n')
    monkeypatch.setenv("QUIESCE_LANGUAGE", "zh_CN")
    request = {"protocol": 1, "run_id": "r", "disks": ["disk-3i2gnf0k"], "acquire_limit_s": 1.0, "hold_limit_s": 2.0}
    with host.daemon(), connected(host.port, host.site.context()) as connection:
        _, answer = ask(connection, "POST", "/v1/check", json.dumps(request).encode())
        shown = host.run("check").stdout
    assert "it is not an executable file" in " ".join(one["message"] for one in answer["refusals"])
    assert "它不是可执行文件" in shown and "拒绝  application_unreachable" in shown

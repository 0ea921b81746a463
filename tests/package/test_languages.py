"""Everything that a person reads is there in every language, with the same placeholders; codes are not translated."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from scripts import languages
from scripts.languages import PROGRAMS, Program

import quiesced.words
from quiesce import policies
from quiesce.cli import main
from quiesce.errors import RequestError
from quiesce.words import LANGUAGES, language_of

OTHERS = LANGUAGES[1:]
PLACEHOLDER = re.compile(r"\{\w+(?:![rs])?(?::[^}]*)?\}")
EVERY = [pytest.param(program, language, id=f"{program.name}-{language}") for program in PROGRAMS for language in OTHERS]
SAID = {
    "ConfigError",
    "DaemonSilentError",
    "AlreadyRunningError",
    "QuiescedError",
    "ArgumentTypeError",
    "RequestError",
    "SettingsError",
    "PolicyError",
    "CertificateError",
    "DeploymentError",
    "UsageError",
}
"""What people are told; errors of the cloud and of hooks are repeated in certificates, as evidence."""
NEVER_TRANSLATED = re.compile(r"`[^`]+`|--[a-z][a-z-]+|QUIESCE_[A-Z_]+")


@pytest.mark.parametrize(("program", "language"), EVERY)
def test_nothing_is_left_untranslated(program: Program, language: str) -> None:
    assert program.missing(language) == [], f"translate it in {program.source}/locale; then python -m scripts.languages"


@pytest.mark.parametrize(("program", "language"), EVERY)
def test_the_files_are_those_of_the_code(program: Program, language: str) -> None:
    catalog, path = program.catalog_of(language), program.po_of(language)
    assert path.read_bytes() == languages.po_text(catalog)
    assert path.with_suffix(".mo").read_bytes() == languages.mo_bytes(catalog)


@pytest.mark.parametrize(("program", "language"), EVERY)
def test_a_translation_has_the_placeholders_commands_and_options_of_its_text(program: Program, language: str) -> None:
    for text in program.texts():
        said = program.say(text, language)
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(said)), text
        assert set(NEVER_TRANSLATED.findall(text)) <= set(NEVER_TRANSLATED.findall(said)), text


@pytest.mark.parametrize(("program", "language"), EVERY)
def test_what_is_translated_is_not_the_english(program: Program, language: str) -> None:
    said = {text: program.say(text, language) for text in program.texts()}
    assert [text for text in said if said[text] == text and re.search(r"[a-z]{3} [a-z]{2}", text)] == []


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_every_error_that_a_person_gets_is_said_in_their_language(program: Program) -> None:
    bare = [f"{path.name}:{line}" for path in sorted(program.source.rglob("*.py")) for line in untranslated(path)]
    assert bare == []


def untranslated(path: Path) -> Iterator[int]:
    """Lines where an error has words of its own that are not given to ``_``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and name_of(node.exc.func) in SAID:
            yield from (node.lineno for argument in node.exc.args for words in bare_words(argument) if " " in words.strip())


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""


def bare_words(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from bare_words(child)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "there is no policy 'weekly'; there are: nightly"),
        ("zh_CN", "没有策略 'weekly'；现有：nightly"),
        ("pt_BR", "não há política 'weekly'; existem: nightly"),
    ],
)
def test_an_error_is_said_in_the_language_that_is_asked_for(
    language: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIESCE_LANGUAGE", language)
    known = policies.parse('[policies.nightly]\ntargets.instances = ["ins-00lycyy6"]\nlevel = "filesystem"\n')
    with pytest.raises(RequestError) as raised:
        policies.named(known, "weekly")
    assert str(raised.value) == said


@pytest.mark.parametrize(("language", "said"), [("zh_CN", "快照"), ("pt_BR", "snapshots"), ("en", "snapshots")])
def test_the_command_speaks_the_language_that_is_asked_for(language: str, said: str) -> None:
    for arguments in (["--help"], ["list", "--help"]):
        result = CliRunner().invoke(main, arguments, env={"QUIESCE_LANGUAGE": language})
        assert said in result.output
        assert "--" in result.output


@pytest.mark.parametrize(
    ("env", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "zh_CN.UTF-8", "QUIESCE_LANGUAGE": "pt-BR"}, "pt_BR"),
        ({"LANGUAGE": "de:pt:en"}, "pt_BR"),
        ({"LC_ALL": "C.UTF-8", "LANG": "pt_BR.UTF-8"}, "en"),
        ({"LANG": "ja_JP.UTF-8"}, "en"),
    ],
)
def test_the_language_is_the_first_that_is_asked_for_and_that_there_is(env: dict[str, str], language: str) -> None:
    assert language_of(env) == quiesced.words.language_of(env) == language

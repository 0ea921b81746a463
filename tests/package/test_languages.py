"""Everything that a person reads is there in every language, with the same placeholders; codes are not translated."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner
from scripts import languages

from quiesce.cli import main
from quiesce.words import LANGUAGES, language_of, words

OTHERS = LANGUAGES[1:]
PLACEHOLDER = re.compile(r"\{\w*\}")
NEVER_TRANSLATED = re.compile(r"`[^`]+`|--[a-z][a-z-]+|QUIESCE_[A-Z_]+")


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_left_untranslated(language: str) -> None:
    assert languages.missing(language) == [], "translate it in src/quiesce/locale, then run python -m scripts.languages"


@pytest.mark.parametrize("language", OTHERS)
def test_the_files_are_those_of_the_code(language: str) -> None:
    catalog = languages.catalog_of(language)
    assert languages.po_of(language).read_bytes() == languages.po_text(catalog)
    assert languages.po_of(language).with_suffix(".mo").read_bytes() == languages.mo_bytes(catalog)


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_placeholders_commands_and_options_of_its_text(language: str) -> None:
    for text in languages.texts():
        said = words(text, language)
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(said)), text
        assert set(NEVER_TRANSLATED.findall(text)) <= set(NEVER_TRANSLATED.findall(said)), text


@pytest.mark.parametrize("language", OTHERS)
def test_what_is_translated_is_not_the_english(language: str) -> None:
    same = [text for text in languages.texts() if words(text, language) == text and re.search(r"[a-z]{3} [a-z]{2}", text)]
    assert same == []


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
    assert language_of(env) == language

"""The words that a person reads, in their language: English, Simplified Chinese or Brazilian Portuguese.

``QUIESCE_LANGUAGE`` comes before the environment's own (LANGUAGE, LC_ALL, LC_MESSAGES, LANG). Codes, levels, options
and keys of JSON are the same in every language. So are the reasons in a certificate, and the errors of the cloud and of the
hooks, which they repeat: they are evidence.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gettext

LOCALE = Path(__file__).parent / "locale"
LANGUAGES = ("en", "zh_CN", "pt_BR")
VARIABLES = ("QUIESCE_LANGUAGE", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


def language_of(env: Mapping[str, str]) -> str:
    """Choose the language: the first that is asked for and that there is, otherwise English."""
    asked = next((env[name] for name in VARIABLES if env.get(name)), "en")
    for one in asked.split(":"):
        spoken = one.split(".")[0].replace("-", "_")
        for known in LANGUAGES:
            if spoken.lower() in (known.lower(), known.split("_")[0].lower()):
                return known
    return "en"


def words(text: str, language: str) -> str:
    """Say it in a language; what has no translation stays English."""
    return _catalog(language).gettext(text) if text and language != "en" else text


def _(text: str, /, **values: object) -> str:
    """Say it in the language of whoever called the program, with values in their places."""
    said = words(text, language_of(os.environ))
    return said.format(**values) if values else said


def later(text: str) -> str:
    """Mark a text that ``_`` is given when it is said, so that it is found and translated."""
    return text


@functools.cache
def _catalog(language: str) -> gettext.NullTranslations:
    import gettext  # noqa: PLC0415 - for the few that need it: a fleet waits for the start of its workers

    return gettext.translation("quiesce", LOCALE, [language], fallback=True)

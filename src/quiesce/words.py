"""The words that a person reads, in their language: English, Simplified Chinese or Brazilian Portuguese.

``QUIESCE_LANGUAGE`` comes before the environment's own (LANGUAGE, LC_ALL, LC_MESSAGES, LANG). Codes, levels, options
and keys of JSON are the same in every language, and so are the reasons in a certificate: they are evidence.
"""

from __future__ import annotations

import functools
import gettext
import os
from collections.abc import Mapping
from pathlib import Path

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
    return _catalog(language).gettext(text) if text else text


def _(text: str) -> str:
    """Say it in the language of whoever called the program."""
    return words(text, language_of(os.environ))


@functools.cache
def _catalog(language: str) -> gettext.NullTranslations:
    return gettext.translation("quiesce", LOCALE, [language], fallback=True)

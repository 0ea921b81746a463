"""The words that a person reads at a terminal, in their language: English, Simplified Chinese or Brazilian Portuguese.

``QUIESCE_LANGUAGE`` comes before what the environment says (LANGUAGE, LC_ALL, LC_MESSAGES, LANG). Codes, levels, options and
keys of JSON are the same in every language. So is what goes over the wire or into a log: refusals, evidence, reasons.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gettext

LANGUAGES = ("en", "zh_CN", "pt_BR")
VARIABLES = ("QUIESCE_LANGUAGE", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


def language_of(env: Mapping[str, str]) -> str:
    """Choose the language: the first that is asked for and that there is, otherwise English."""
    asked = next((env[name] for name in VARIABLES if env.get(name)), "en")
    for one in asked.split(":"):
        spoken = one.split(".")[0].replace("-", "_").lower()
        for known in LANGUAGES:
            if spoken in (known.lower(), known.split("_")[0].lower()):
                return known
    return "en"


def words(text: str, language: str) -> str:
    """Say it in a language; what has no translation stays English."""
    return _catalog(language).gettext(text) if text and language != "en" else text


def _(text: str, /, **values: object) -> str:
    """Say it in the language of whoever called the program, with values in their places."""
    said = words(text, language_of(os.environ))
    return said.format(**values) if values else said


def keep_to_english() -> None:
    """Speak to programs from now on: what goes over the wire or into a log is the same everywhere."""
    os.environ[VARIABLES[0]] = LANGUAGES[0]


def later(text: str) -> str:
    """Mark a text that ``_`` is given when it is said, so that it is found and translated."""
    return text


@functools.cache
def _catalog(language: str) -> gettext.NullTranslations:
    """Read it from wherever the program is, which is a zipapp where it is installed."""
    import gettext  # noqa: PLC0415 - the service has no use for them, and they take memory
    import pkgutil  # noqa: PLC0415

    content = pkgutil.get_data("quiesced", f"locale/{language}/LC_MESSAGES/quiesced.mo")
    return gettext.GNUTranslations(io.BytesIO(content or b""))

"""Rules for tags, shared by the tag service and by CBS."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from quiesce_lab.cloud.errors import ApiError

MAX_PER_RESOURCE = 50
_RESERVED = ("qcs:", "project", "qcloud", "tencent")
_ALLOWED = re.compile(r"[\w +\-=.:/@()\[\],;\uff0c\uff1b]*")
"""Union of the sets that the tag pages of the tag service and of CVM list."""


def check_tag(key: str, value: str) -> None:
    """Check one tag: 127 characters of key, 255 of value, no reserved prefix (tag limits page). Raises ApiError."""
    if not key:
        raise ApiError("InvalidParameterValue.TagKeyEmpty", "The tag key is empty.")
    if not value:
        raise ApiError("InvalidParameterValue.TagValueEmpty", f"The value of the tag `{key}` is empty.")
    if len(key) > 127:
        raise ApiError("InvalidParameterValue.TagKeyLengthExceeded", "A tag key has at most 127 characters.")
    if len(value) > 255:
        raise ApiError("InvalidParameterValue.TagValueLengthExceeded", "A tag value has at most 255 characters.")
    if key.lower().startswith(_RESERVED):
        raise ApiError("InvalidParameterValue.ReservedTagKey", f"The tag key `{key}` has a reserved prefix.")
    _check_characters(key, value)


def _check_characters(key: str, value: str) -> None:
    if not _ALLOWED.fullmatch(key):
        raise ApiError("InvalidParameterValue.TagKeyCharacterIllegal", f"The tag key `{key}` has illegal characters.")
    if not _ALLOWED.fullmatch(value):
        raise ApiError("InvalidParameterValue.TagValueCharacterIllegal", f"The tag value `{value}` is illegal.")


def with_tags(present: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a resource after ``new`` were put on it. Raises ApiError past 50."""
    merged = {**present, **new}
    if len(merged) > MAX_PER_RESOURCE:
        raise ApiError("LimitExceeded.ResourceAttachedTags", f"A resource carries at most {MAX_PER_RESOURCE} tags.")
    return merged


def read_tags(items: Sequence[Mapping[str, Any]] | None, *, key: str, value: str) -> dict[str, str]:
    """Read a list of tags whose fields are named ``key`` and ``value``, checking each."""
    tags: dict[str, str] = {}
    for item in items or ():
        if item.get(key) is None or item.get(value) is None:
            raise ApiError("MissingParameter", f"A tag needs `{key}` and `{value}`.")
        check_tag(item[key], item[value])
        if item[key] in tags:
            raise ApiError("InvalidParameterValue.TagKeyDuplicate", f"The tag key `{item[key]}` is given twice.")
        tags[item[key]] = item[value]
    return tags


def read_cbs_tags(items: Sequence[Mapping[str, Any]] | None) -> dict[str, str]:
    """Read the Tags of a CBS request. CBS has no codes of its own for tags: ``InvalidParameterValue``."""
    try:
        return with_tags({}, read_tags(items, key="Key", value="Value"))
    except ApiError as error:
        code = "MissingParameter" if error.code == "MissingParameter" else "InvalidParameterValue"
        raise ApiError(code, error.message) from error

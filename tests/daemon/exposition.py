"""A strict reader of Prometheus' text format 0.0.4: it takes what the format's description allows, and nothing else."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_SAMPLE = re.compile(rf"({NAME})(?:\{{({_LABEL}(?:,{_LABEL})*)\}})? ([+-]?(?:[0-9.]+(?:e[+-]?[0-9]+)?|Inf|NaN))")
_TYPES = {"counter", "gauge", "histogram"}
_PARTS = ("_bucket", "_sum", "_count")


class BadText(AssertionError):
    """The text is not what Prometheus reads."""


@dataclass
class Family:
    """One metric: every sample by its full name with labels, as it is written."""

    name: str
    words: str
    type: str = ""
    samples: dict[str, float] = field(default_factory=dict)


def read(text: str) -> dict[str, Family]:
    """Read a whole answer, or raise BadText."""
    families: dict[str, Family] = {}
    current: Family | None = None
    if not text.endswith("\n"):
        raise BadText("the last line has no end")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            current = _help(line, families)
        elif current is None:
            raise BadText(f"a sample without HELP: {line}")
        elif line.startswith("# TYPE "):
            _type(line, current)
        else:
            _sample(line, current)
    for family in families.values():
        _whole(family)
    return families


def _help(line: str, families: dict[str, Family]) -> Family:
    _, _, name, words = line.split(" ", 3)
    if not re.fullmatch(NAME, name) or name in families or not words.strip():
        raise BadText(f"wrong, repeated or empty: {line}")
    families[name] = Family(name, words)
    return families[name]


def _type(line: str, family: Family) -> None:
    _, _, name, type_ = line.split(" ")
    if name != family.name or type_ not in _TYPES or family.type or family.samples:
        raise BadText(f"wrong, repeated or late: {line}")
    family.type = type_


def _sample(line: str, family: Family) -> None:
    found = _SAMPLE.fullmatch(line)
    if not found:
        raise BadText(f"not a sample: {line}")
    name, labels, value = found.groups()
    allowed = {family.name + part for part in _PARTS} if family.type == "histogram" else {family.name}
    key = f"{name}{{{labels}}}" if labels else name
    if name not in allowed or key in family.samples:
        raise BadText(f"not of {family.name}, or repeated: {line}")
    family.samples[key] = float(value)


def _whole(family: Family) -> None:
    if not family.type:
        raise BadText(f"{family.name} has no TYPE")
    if family.type == "counter" and not family.name.endswith("_total"):
        raise BadText(f"{family.name} is a counter and is not called _total")
    if family.type != "gauge" and any(value < 0 or math.isnan(value) for value in family.samples.values()):
        raise BadText(f"{family.name} counts below 0")
    if family.type == "histogram":
        _histogram(family)


def _histogram(family: Family) -> None:
    buckets = [(key, value) for key, value in family.samples.items() if "_bucket{" in key]
    bounds = [float(key.partition('le="')[2].rstrip('"}')) for key, _ in buckets]
    counts = [value for _, value in buckets]
    if bounds != sorted(set(bounds)) or not bounds or bounds[-1] != math.inf:
        raise BadText(f"{family.name} has wrong bounds: {bounds}")
    if counts != sorted(counts) or counts[-1] != family.samples.get(f"{family.name}_count"):
        raise BadText(f"{family.name} is not cumulative, or not whole: {counts}")
    if f"{family.name}_sum" not in family.samples:
        raise BadText(f"{family.name} has no sum")

"""Sets of MySQL's global transaction identifiers, read and written as the server does (manual, GTID Sets).

    3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7:nightly:1-3,4350f323-7565-4e59-8763-4b1b83a0ce0e:9

The source's UUID, ranges of numbers, and after a tag (8.3 and newer) the ranges that carry it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

Range = list[int]
"""First number, and the one behind the last."""


@dataclass
class GtidSet:
    """Which transactions, by the source that they come from and their tag, which may be empty."""

    _ranges: dict[tuple[str, str], list[Range]] = field(default_factory=dict)

    def add(self, source: str, tag: str, first: int, behind: int) -> None:
        """Add the numbers from ``first`` up to the one before ``behind``. Those of a log come in order, or nearly so."""
        ranges = self._ranges.setdefault((source, tag), [])
        if ranges and ranges[-1][0] <= first <= ranges[-1][1]:
            ranges[-1][1] = max(ranges[-1][1], behind)
        else:
            ranges.append([first, behind])

    def add_text(self, text: str) -> None:
        """Add a set as @@gtid_executed shows it. Raises ValueError for what is none."""
        for one in filter(None, (part.strip() for part in text.split(","))):
            source, *rest = one.lower().split(":")
            tag = ""
            for part in rest:
                if part[:1].isdigit():
                    first, _, last = part.partition("-")
                    self.add(source, tag, int(first), int(last or first) + 1)
                else:
                    tag = part

    def __or__(self, other: GtidSet) -> GtidSet:
        both = GtidSet()
        for one in (self, other):
            for (source, tag), ranges in one._ranges.items():
                for first, behind in ranges:
                    both.add(source, tag, first, behind)
        return both

    def __str__(self) -> str:
        sources: dict[str, list[str]] = {}
        for (source, tag), ranges in sorted(self._ranges.items()):
            shown = sources.setdefault(source, [])
            shown += [*filter(None, (tag,)), *_shown(ranges)]
        return ",".join(":".join((source, *shown)) for source, shown in sources.items())


def _shown(ranges: list[Range]) -> Iterator[str]:
    for first, behind in _joined(ranges):
        yield str(first) if behind == first + 1 else f"{first}-{behind - 1}"


def _joined(ranges: list[Range]) -> list[Range]:
    joined: list[Range] = []
    for first, behind in sorted(ranges):
        if joined and first <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], behind)
        else:
            joined.append([first, behind])
    return joined

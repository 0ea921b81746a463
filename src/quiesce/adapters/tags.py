"""Putting tags on snapshots, by the tag service: CreateSnapshot carries none, because tagging can fail on its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from quiesce.adapters.tencent import Answer, Nothing, Reads

TAGS_PER_CALL = 10
"""SDK, tag, ModifyResourceTags."""


class Tag(Answer, frozen=True):
    """A tag as CBS lists it."""

    key: str | None = None
    value: str | None = None


def as_mapping(tags: Iterable[Tag] | None) -> dict[str, str]:
    """Read the tags that were listed; the cloud may leave any part of them null."""
    return {tag.key: tag.value or "" for tag in tags or () if tag.key}


class SnapshotTags:
    """Tags of the snapshots of one region."""

    def __init__(self, region: str, tag: Reads) -> None:
        self._region = region
        self._tag = tag

    def put(self, snapshot_ids: Sequence[str], tags: Mapping[str, str]) -> None:
        """Add tags, or change their values; repeating is harmless. Raises CloudError at the first that fails."""
        for snapshot_id in snapshot_ids:
            # The account may stay empty (terraform-provider-tencentcloud tags snapshots by this form).
            resource = f"qcs::cvm:{self._region}:uin/:snapshot/{snapshot_id}"
            for some in _chunks(tags):
                self._tag.read("ModifyResourceTags", {"Resource": resource, "ReplaceTags": some}, Nothing)


def _chunks(tags: Mapping[str, str]) -> Iterator[list[dict[str, str]]]:
    pairs = [{"TagKey": key, "TagValue": value} for key, value in tags.items()]
    for start in range(0, len(pairs), TAGS_PER_CALL):
        yield pairs[start : start + TAGS_PER_CALL]

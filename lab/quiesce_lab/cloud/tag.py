"""ModifyResourceTags and TagResources of the tag service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.errors import ApiError
from quiesce_lab.cloud.tagging import read_tags, with_tags
from quiesce_lab.cloud.world import REGIONS

_SIX_SEGMENTS = re.compile(
    r"qcs:(?P<project>[^:]*):(?P<service>[^:]+):(?P<region>[^:]+):uin/(?P<uin>\d*):(?P<kind>[^/:]+)/(?P<id>[^/:]+)"
)
_MOST = 10


def modify_resource_tags(context: Context) -> Answer:
    """Put tags on one resource and take others off, at most 10 of each."""
    body = context.body
    if "ReplaceTags" not in body and "DeleteTags" not in body:
        raise ApiError("MissingParameter", "Give `ReplaceTags`, `DeleteTags` or both.")
    for name in ("ReplaceTags", "DeleteTags"):
        _check_count(name, body.get(name, [None]))
    new = read_tags(body.get("ReplaceTags"), key="TagKey", value="TagValue")
    old = [item.get("TagKey") for item in body.get("DeleteTags", ())]
    if set(old) & new.keys():
        raise ApiError("InvalidParameterValue.DeleteTagsParamError", "A tag key is both replaced and deleted.")
    with context.world.lock:
        tags = _tags_of(context, body["Resource"])
        if missing := [key for key in old if key not in tags]:
            raise ApiError("ResourceNotFound.AttachedTagKeyNotFound", f"The resource has no tag `{missing[0]}`.")
        kept = {key: value for key, value in tags.items() if key not in old}
        _replace(tags, with_tags(kept, new))
    return {}


def tag_resources(context: Context) -> Answer:
    """Put the same tags on up to 10 resources. Those that fail are listed in the answer, which is no error."""
    body = context.body
    _check_count("Tags", body["Tags"])
    if len(body["ResourceList"]) > _MOST:
        raise ApiError("LimitExceeded.ResourceNumPerRequest", f"`ResourceList` takes at most {_MOST} resources.")
    new = read_tags(body["Tags"], key="TagKey", value="TagValue")
    failed = []
    with context.world.lock:
        for resource in body["ResourceList"]:
            try:
                tags = _tags_of(context, resource)
                _replace(tags, with_tags(tags, new))
            except ApiError as error:
                failed.append({"Resource": resource, "Code": error.code, "Message": error.message})
    return {"FailedResources": failed}


def _check_count(name: str, items: list[Any]) -> None:
    if not items:
        raise ApiError("InvalidParameter.Tag", f"`{name}` must not be an empty list.")
    if len(items) > _MOST:
        raise ApiError("LimitExceeded.TagNumPerRequest", f"`{name}` takes at most {_MOST} tags.")


def _tags_of(context: Context, resource: str) -> dict[str, str]:
    """Find the tags behind ``qcs::cvm:<region>:uin/<uin or nothing>:snapshot/<id>`` (Terraform provider's form)."""
    match = _SIX_SEGMENTS.fullmatch(resource)
    if match is None:
        raise ApiError(
            "InvalidParameterValue.ResourceDescriptionError", f"`{resource}` is not a six-segment resource description."
        )
    if match["service"] != "cvm":
        raise ApiError("InvalidParameter.UnsupportedService", f"The service `{match['service']}` takes no tags here.")
    if match["region"] not in REGIONS:
        raise ApiError("InvalidParameterValue.RegionInvalid", f"There is no region `{match['region']}`.")
    uin = context.estate.uin
    if match["uin"] not in ("", uin):
        raise ApiError("InvalidParameterValue.UinInvalid", "The resource belongs to another account.")
    estate = context.world.estate(uin, match["region"])
    kinds: Mapping[str, Mapping[str, Any]] = {
        "snapshot": estate.snapshots,
        "volume": estate.disks,
        "instance": estate.instances,
    }
    if match["kind"] not in kinds:
        raise ApiError("InvalidParameterValue.ResourcePrefixInvalid", f"There is no resource prefix `{match['kind']}`.")
    found = kinds[match["kind"]].get(match["id"])
    if found is None:
        raise ApiError("InvalidParameterValue.ResourceIdInvalid", f"There is no {match['kind']} `{match['id']}`.")
    tags: dict[str, str] = found.tags
    return tags


def _replace(tags: dict[str, str], new: dict[str, str]) -> None:
    tags.clear()
    tags.update(new)

"""Filters and pages of the Describe actions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from quiesce_lab.cloud.errors import ApiError

Item = TypeVar("Item")
MAX_PAGE = 100


@dataclass(frozen=True)
class Rules:
    """Filters that an action takes; ``ids`` is the field that excludes Filters."""

    ids: str
    names: frozenset[str]
    tags: bool = False
    """Whether ``tag:<key>`` is a filter."""
    max_filters: int = 100
    max_values: int = 100
    max_values_of: Mapping[str, int] | None = None


def select(body: Mapping[str, Any], rules: Rules) -> dict[str, list[str]]:
    """Read ids or filters into one table of name to values.

    Raises ApiError ``InvalidParameter`` when both are given, ``InvalidFilter`` for a name not in the rules,
    ``InvalidParameterValue.LimitExceeded`` for too many.
    """
    ids, filters = body.get(rules.ids), body.get("Filters")
    if ids and filters:
        raise ApiError("InvalidParameter", f"`{rules.ids}` and `Filters` cannot be given together.")
    if len(ids or []) > MAX_PAGE:
        raise ApiError("InvalidParameterValue.LimitExceeded", f"`{rules.ids}` takes at most {MAX_PAGE} values.")
    if len(filters or []) > rules.max_filters:
        raise ApiError("InvalidParameterValue.LimitExceeded", f"`Filters` takes at most {rules.max_filters} filters.")
    selected: dict[str, list[str]] = {"": list(ids)} if ids else {}
    for wanted in filters or []:
        name, values = _read(wanted, rules)
        if name in selected:
            raise ApiError("InvalidFilter", f"The filter `{name}` is given twice.")
        selected[name] = values
    return selected


def _read(wanted: Mapping[str, Any], rules: Rules) -> tuple[str, list[str]]:
    name, values = wanted.get("Name"), wanted.get("Values")
    if not name or not values:
        raise ApiError("MissingParameter", "A filter needs `Name` and at least one of `Values`.")
    by_tag = rules.tags and name.startswith("tag:") and name != "tag:"
    if name not in rules.names and not by_tag:
        raise ApiError("InvalidFilter", f"The specified filter `{name}` is not supported.")
    most = (rules.max_values_of or {}).get(name, rules.max_values)
    if len(values) > most:
        raise ApiError("InvalidParameterValue.LimitExceeded", f"The filter `{name}` takes at most {most} values.")
    return name, list(values)


def among(selected: Mapping[str, Sequence[str]], by_id: Mapping[str, Item], name: str) -> list[Item]:
    """Those that can fit by their ids alone, which are asked for with or without the filter ``name``: few of many."""
    wanted = [set(selected[one]) for one in ("", name) if one in selected]
    return [item for key, item in by_id.items() if all(key in some for some in wanted)]


def fits(selected: Mapping[str, Sequence[str]], properties: Mapping[str, Collection[str]]) -> bool:
    """Tell whether a resource fits: all filters, any value of each. The id stands under the empty name."""
    return all(any(value in properties.get(name, ()) for value in values) for name, values in selected.items())


def tag_properties(tags: Mapping[str, str]) -> dict[str, Collection[str]]:
    """Return the properties that the tag filters look at."""
    by_key: dict[str, Collection[str]] = {f"tag:{key}": (value,) for key, value in tags.items()}
    return {"tag-key": tuple(tags), "tag-value": tuple(tags.values()), **by_key}


def page(items: Sequence[Item], body: Mapping[str, Any]) -> Sequence[Item]:
    """Cut out the page asked for: Offset from 0, Limit 20 unless told, 100 at most."""
    offset, limit = body.get("Offset", 0), body.get("Limit", 20)
    if offset < 0 or not 1 <= limit <= MAX_PAGE:
        raise ApiError("InvalidParameterValue", f"`Offset` starts at 0, and `Limit` is from 1 to {MAX_PAGE}.")
    return items[offset : offset + limit]


def newest_first(body: Mapping[str, Any], order_fields: Collection[str]) -> bool:
    """Read Order and OrderField; newest first is the default."""
    order, order_field = body.get("Order", "DESC"), body.get("OrderField", "CREATE_TIME")
    if order not in ("ASC", "DESC") or order_field not in order_fields:
        raise ApiError("InvalidParameterValue", "`Order` is ASC or DESC, `OrderField` one of the documented fields.")
    return bool(order == "DESC")

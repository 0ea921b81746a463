"""Reading a CLS topic back: SearchLog, newest line first.

``Context`` goes on where a page ended, for at most 10,000 lines (SDK, cls, SearchLogRequest). For more, the search is begun
anew with its end where the last one came to, and the lines of that millisecond that are known already are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from quiesce.adapters.tencent import Answer, Cloud

LINES_A_PAGE = 1_000
LINES_A_CONTEXT = 10_000
CQL = 1


class Found(Answer, frozen=True):
    """One line: when it was written, in milliseconds since 1970 (UTC), and its fields as JSON."""

    time: int
    log_json: str | None = None
    pkg_id: str | None = None
    pkg_log_id: str | None = None


class _Page(Answer, frozen=True):
    list_over: bool
    context: str | None = None
    results: tuple[Found, ...] | None = None


class LogSearch:
    """One topic. Not for two threads at a time."""

    def __init__(self, cloud: Cloud, topic_id: str) -> None:
        self._api = cloud.api("cls", "2020-10-16")
        self._topic_id = topic_id

    def find(self, query: str, begins_ms: int, ends_ms: int) -> Iterator[Found]:
        """Find the lines from ``begins_ms`` on and before ``ends_ms``, page by page as they are asked for.

        Raises CloudError.
        """
        edge: frozenset[Found] = frozenset()
        while ends_ms > begins_ms:
            known = edge
            for page in self._pages(query, begins_ms, ends_ms):
                lines = page.results or ()
                yield from (line for line in lines if line not in known)
                if page.list_over or not lines:
                    return
                last_ms = lines[-1].time
                edge = frozenset(line for line in (*edge, *lines) if line.time == last_ms)
            # Ever less, also where more lines than a context has were written in the same millisecond.
            ends_ms = min(last_ms + 1, ends_ms - 1)

    def _pages(self, query: str, begins_ms: int, ends_ms: int) -> Iterator[_Page]:
        """One context's pages. Nothing else may change from one to the next (SDK, cls, SearchLogRequest)."""
        asked: dict[str, object] = {"TopicId": self._topic_id, "From": begins_ms, "To": ends_ms, "QueryString": query}
        asked |= {"QuerySyntax": CQL, "Limit": LINES_A_PAGE, "Sort": "desc"}
        for _ in range(LINES_A_CONTEXT // LINES_A_PAGE):
            page = self._api.read("SearchLog", asked, _Page)
            yield page
            if not page.context:
                return
            asked["Context"] = page.context

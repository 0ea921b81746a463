"""Where lines are read back from: a file of JSON lines, or topics of CLS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Protocol

from quiesce.adapters.cls_search import Found, LogSearch
from quiesce.adapters.tencent import Cloud
from quiesce.history.lines import Line, Record, line_of, record_of, text_of
from quiesce.words import _

_SAFE = re.compile(r"[A-Za-z0-9-]{1,80}", re.ASCII)
"""What may stand in a query between quotes; ids that Quiesce and the cloud make are no more than this."""
AROUND = timedelta(hours=1)
"""How long before a record was filed its run's first line may have been written, and how long after it its last."""


class Source(Protocol):
    """Gives records, and then the lines of those that are shown in detail."""

    @property
    def notes(self) -> Sequence[str]:
        """What could not be read, in words; complete when everything has been."""

    def records(self) -> Iterator[Record]:
        """Read every record. Raises CloudError or OSError."""

    def lines(self, picks: Sequence[Record]) -> Iterator[Line]:
        """Read the log lines of these targets, and maybe those of others. Raises CloudError or OSError."""


class Nowhere:
    """No history at all."""

    def __init__(self) -> None:
        self.notes: Sequence[str] = [_("No history was given: neither a file nor a log topic. Only the estate is shown.")]

    def records(self) -> Iterator[Record]:
        """Read none."""
        return iter(())

    def lines(self, picks: Sequence[Record]) -> Iterator[Line]:
        """Read none."""
        return iter(())


class FileSource:
    """JSON lines in a file: what the function wrote to stdout, run records, results of SearchLog, in any mixture."""

    def __init__(self, path: Path) -> None:
        self.notes: list[str] = []
        self._path = path

    def records(self) -> Iterator[Record]:
        """Read the file once; what cannot be read is counted and said."""
        unread = 0
        for text in self._texts():
            try:
                record = record_of(line_of(text))
            except ValueError:
                unread += 1
                continue
            if record is not None:
                yield record
        self._note(unread)

    def lines(self, picks: Sequence[Record]) -> Iterator[Line]:
        """Read the file again: which targets are shown is known only after the first time."""
        wanted = {(record.run_id, record.instance_id) for record in picks}
        for text in self._texts() if wanted else ():
            try:
                line = line_of(text)
            except ValueError:
                continue
            if (text_of(line.fields, "run_id"), text_of(line.fields, "instance_id")) in wanted:
                yield line

    def _texts(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            yield from (text for text in file if text.strip())

    def _note(self, unread: int) -> None:
        if unread:
            text = _("{count} lines of {file} could not be read, and are not in this report.")
            self.notes.append(text.format(count=unread, file=self._path.name))


class CloudSource:
    """Topics of CLS: that of the run records, and that of the function's log; either may be None."""

    def __init__(
        self,
        cloud: Cloud,
        records_topic: str | None,
        log_topic: str | None,
        *,
        since: datetime,
        now: datetime,
        limit: int,
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        """``limit``: how many lines are read at most; ``enough`` says when there is no time left for more."""
        self.notes: list[str] = []
        self._records = LogSearch(cloud, records_topic) if records_topic else None
        self._log = LogSearch(cloud, log_topic) if log_topic else None
        self._since, self._now = since, now
        self._limit, self._enough = limit, enough

    def records(self) -> Iterator[Record]:
        """Read run records; where they have no topic, the log's line ``target`` has the same figures."""
        unread, search = 0, self._records or self._log
        if search is None:
            return
        query = "" if self._records else "step:target"
        for number, found in enumerate(search.find(query, _ms(self._since), _ms(self._now))):
            if number >= self._limit or self._enough():
                text = _("The history is cut off: records older than {when} were not read. Ask for fewer days.")
                self.notes.append(
                    text.format(when=f"{datetime.fromtimestamp(found.time / 1000, timezone.utc):%Y-%m-%d %H:%M} UTC")
                )
                break
            try:
                record = record_of(_line(found))
            except ValueError:
                unread += 1
                continue
            if record is not None:
                yield record
        if unread:
            self.notes.append(_("{count} records could not be read, and are not in this report.", count=unread))

    def lines(self, picks: Sequence[Record]) -> Iterator[Line]:
        """Ask for each target by its run and its instance."""
        if self._log is None:
            self.notes.append(_("The topic of the function's log was not given, so no steps of runs are shown."))
            return
        for record in picks:
            if record.at is None or not (_SAFE.fullmatch(record.run_id) and _SAFE.fullmatch(record.instance_id)):
                continue
            if self._enough():
                self.notes.append(_("There was no time left to read the steps of every run that is shown."))
                return
            query = f'run_id:"{record.run_id}" AND instance_id:"{record.instance_id}"'
            for found in self._log.find(query, _ms(record.at - AROUND), _ms(record.at + AROUND)):
                try:
                    yield _line(found)
                except ValueError:
                    continue


def _line(found: Found) -> Line:
    line = line_of(found.log_json or "{}")
    return Line(datetime.fromtimestamp(found.time / 1000, timezone.utc), line.fields)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)

"""GET /metrics: what is held and what has happened, as Prometheus reads it. No ids, names, paths or secrets.

``CATALOGUE`` is every metric; docs/reference/metrics.md is written from it (scripts/reference.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Callable, Union

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from quiesced.messages import StatusAnswer
from quiesced.tally import Durations, Tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Value = Union[float, Mapping[str, float], Durations]


@dataclass(frozen=True)
class Seen:
    """What is measured at one moment."""

    status: StatusAnswer
    tally: Tally


@dataclass(frozen=True)
class Described:
    """One metric: its name as it is read, its type, what it says, its label if it has one, and where its value is.

    ``value`` gives a number, numbers by label value, or durations for a histogram.
    """

    name: str
    type: str
    words: str
    value: Callable[[Seen], Value]
    label: str = ""
    label_words: str = ""

    def family(self, seen: Seen) -> Metric:
        """Return the metric as it is now."""
        value = self.value(seen)
        if isinstance(value, Durations):
            return HistogramMetricFamily(self.name, self.words, buckets=value.cumulative(), sum_value=value.sum_s)
        kind = CounterMetricFamily if self.type == "counter" else GaugeMetricFamily
        if not isinstance(value, Mapping):
            return kind(self.name, self.words, value=float(value))
        family = kind(self.name, self.words, labels=[self.label])
        for label, number in sorted(value.items()):
            family.add_metric([label], float(number))
        return family


CATALOGUE: tuple[Described, ...] = (
    Described(
        "quiesced_held",
        "gauge",
        "1 while a hold is in place, else 0.",
        lambda seen: seen.status.state == "held",
    ),
    Described(
        "quiesced_frozen",
        "gauge",
        "1 while a hold keeps filesystems frozen, else 0; a hold by the applications' own locks alone freezes none.",
        lambda seen: seen.tally.frozen,
    ),
    Described(
        "quiesced_acquiring",
        "gauge",
        "1 while a hold is being prepared or acquired, else 0.",
        lambda seen: seen.status.state == "acquiring",
    ),
    Described(
        "quiesced_lease_remaining_seconds",
        "gauge",
        "Seconds until the hold ends by itself; 0 without a hold.",
        lambda seen: seen.status.hold_remaining_s if seen.status.state == "held" else 0.0,
    ),
    Described(
        "quiesced_last_hold_seconds",
        "gauge",
        "How long the last hold lasted, in seconds from the first lock to the last thaw; 0 before the first.",
        lambda seen: seen.tally.last_hold_s,
    ),
    Described(
        "quiesced_hold_duration_seconds",
        "histogram",
        "How long holds lasted, in seconds from the first lock to the last thaw.",
        lambda seen: seen.tally.durations,
    ),
    Described(
        "quiesced_holds_granted_total",
        "counter",
        "Holds that were granted.",
        lambda seen: seen.tally.granted,
    ),
    Described(
        "quiesced_holds_total",
        "counter",
        "Holds that were asked for and are over.",
        lambda seen: seen.tally.outcomes(),
        "outcome",
        "`released` in order and without a gap; `expired` before they were released, or with a gap; `refused`, "
        "each with its code in quiesced_holds_refused_total",
    ),
    Described(
        "quiesced_holds_refused_total",
        "counter",
        "Answers that refused a hold.",
        lambda seen: seen.tally.holds_refused(),
        "code",
        "a refusal of hooks/PROTOCOL.md, such as `blocked` or `acquire_timeout`",
    ),
    Described(
        "quiesced_guardian_fired_total",
        "counter",
        "Holds that the guardian ended at its deadline, because the daemon had not.",
        lambda seen: seen.tally.guardian_fired,
    ),
    Described(
        "quiesced_requests_refused_total",
        "counter",
        "Requests and handshakes that were refused.",
        lambda seen: seen.tally.requests_refused(),
        "code",
        "an error of hooks/PROTOCOL.md, such as `bad_signature`",
    ),
    Described(
        "quiesced_build_info",
        "gauge",
        "Always 1.",
        lambda seen: {seen.status.version: 1.0},
        "version",
        "the daemon's release",
    ),
)


class Metrics(Collector):
    """Reads the counters when it is asked; nothing is computed during a hold otherwise."""

    def __init__(self, status: Callable[[], StatusAnswer], tally: Tally) -> None:
        self._status = status
        self._tally = tally
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return everything in the text format."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Name nothing beforehand: registering must not ask the keeper."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now."""
        seen = Seen(self._status(), self._tally)
        for described in CATALOGUE:
            yield described.family(seen)

"""GET /metrics: what is held and what has happened, as Prometheus reads it. No ids, names, paths or secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from quiesced.messages import StatusAnswer
from quiesced.tally import Tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


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
        status, tally = self._status(), self._tally
        yield _gauge("quiesced_held", "1 while a hold is in place, else 0.", status.state == "held")
        yield _gauge("quiesced_acquiring", "1 while a hold is being acquired, else 0.", status.state == "acquiring")
        left_s = status.hold_remaining_s if status.state == "held" else 0.0
        yield _gauge("quiesced_lease_remaining_seconds", "When the hold ends by itself; 0 without a hold.", left_s)
        yield _gauge("quiesced_last_hold_seconds", "How long the last hold lasted; 0 before the first.", tally.last_hold_s)
        yield _counter("quiesced_holds_granted", "Holds that were granted.", tally.granted)
        yield _counter("quiesced_holds_expired", "Holds that ended before they were released.", tally.expired)
        yield _counter("quiesced_guardian_fired", "Holds that the guardian ended at its deadline.", tally.guardian_fired)
        yield _by_code("quiesced_holds_refused", "Answers that refused a hold.", tally.holds_refused())
        yield _by_code("quiesced_requests_refused", "Requests and handshakes that were refused.", tally.requests_refused())


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=float(value))


def _counter(name: str, words: str, value: int) -> Metric:
    return CounterMetricFamily(name, words, value=float(value))


def _by_code(name: str, words: str, counts: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, words, labels=["code"])
    for code, count in sorted(counts.items()):
        family.add_metric([code], float(count))
    return family

"""The page of the daemon's metrics, from its own catalogue (scripts.reference writes it)."""

from __future__ import annotations

from quiesced.metrics import CATALOGUE, Described
from quiesced.tally import BUCKETS_S

_METRICS = """# Metrics of the daemon

Written by `python -m scripts.reference` from [`hooks/quiesced/metrics.py`](../../hooks/quiesced/metrics.py).

`GET /metrics` on the daemon's port answers in the text format of Prometheus. It needs no signature, and shows no ids, names,
paths or secrets. Counters begin at 0 when the daemon starts.

"""
_SCRAPE = """
## Reading them

A configuration for Prometheus; `tls.pem` is the daemon's certificate:

```yaml
scrape_configs:
  - job_name: quiesced
    scheme: https
    tls_config:
      ca_file: /etc/prometheus/tls.pem
    static_configs:
      - targets: ["10.0.0.5:9443"]
```

Three rules that are worth an alarm:

| Expression | Means |
|---|---|
| `increase(quiesced_guardian_fired_total[1d]) > 0` | the daemon hung or could not let go in time |
| `increase(quiesced_holds_total{outcome="expired"}[1d]) > 0` | a hold ended by itself: its set is not called application |
| `histogram_quantile(0.99, increase(quiesced_hold_duration_seconds_bucket[7d])) > 5` | writers wait longer than 5 s |
"""


def document() -> str:
    """Write the page of the daemon's metrics."""
    rows = [f"| `{one.name}` | {one.type} | {_label(one)} | {one.words} |" for one in CATALOGUE]
    bounds = ", ".join(f"{bound_s:g}" for bound_s in BUCKETS_S)
    table = ["| Name | Type | Label | Meaning |", "|---|---|---|---|", *rows]
    buckets = f"\nThe bounds of `quiesced_hold_duration_seconds` are {bounds} seconds.\n"
    return _METRICS + "\n".join(table) + "\n" + buckets + _SCRAPE


def _label(described: Described) -> str:
    return f"`{described.label}`: {described.label_words}" if described.label else ""

"""A small Tencent Cloud API over TLS, as strict as the platform and never more helpful.

Reading order: ``server`` (HTTPS), ``dispatch`` (what happens to one request), ``catalog`` (the actions there are),
``snapshots`` (CreateSnapshot and its cut), ``faults`` and ``record`` (what a test sets and sees).
"""

from quiesce_lab.cloud.server import Cloud

__all__ = ["Cloud"]

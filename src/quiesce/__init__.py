"""Quiesce: snapshots of Tencent Cloud disks that an application can trust.

Where to start reading: ``procedure`` (what happens, in order), ``ports`` (what it asks of the world), ``judge`` (what a
snapshot may be called), ``run`` (the wiring).
"""

__version__ = "0.1.0"

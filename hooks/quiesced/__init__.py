"""quiesced: the hook daemon that holds an instance still while its disks are snapshotted.

Where to start reading: ``keeper`` (what a hold is, in order), ``guardian`` (who lets go when nobody else does),
``quiescers/mysql/hold`` (how one application is held), hooks/PROTOCOL.md (what travels).
"""

__version__ = "0.1.0"

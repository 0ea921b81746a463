"""The rehearsal: one hold on this instance without a snapshot, and one whose holder is killed, before the first real run.

Where to start reading: ``rehearse`` (what happens, in order), ``report`` (what it found, and when that is not safe).
"""

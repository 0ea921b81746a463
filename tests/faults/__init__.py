"""The fault matrix: every step of a run, on every side, meets every fault that can happen there.

``python -m tests.faults`` runs all of it; tests/faults/test_sample.py a fixed part. Steps come from the product
(steps.py), faults from a table (table.py), and what was promised is looked at from outside (outside.py).
"""

"""Benches: figures as ratios within one run, never a test that passes or fails on time."""

"""Restores of every engine, again and again: ``make restores``."""

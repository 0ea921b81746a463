"""Bounded fuzzing of everything that reads what others wrote. Derandomized: the same examples on every run."""

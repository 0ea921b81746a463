"""``python -m bench.fleet``: one run of a thousand instances, through workers of the real function."""

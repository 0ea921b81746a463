"""What runs left behind, read back: run records and log lines, from CLS or from a file, added up for the report."""

"""The ledger test repeated under random faults: whatever is called application-consistent is restored and compared."""

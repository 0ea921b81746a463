"""PostgreSQL: ``quiescer`` checks and prepares, ``paths`` chooses the way, ``hold`` is what lasts, ``wal`` where it ends."""

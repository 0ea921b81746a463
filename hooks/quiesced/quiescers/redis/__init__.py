"""Redis and Valkey: ``quiescer`` checks and dumps, ``hold`` is what lasts, ``session`` has the options and the driver."""

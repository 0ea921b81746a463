"""MySQL and MariaDB: ``quiescer`` checks and prepares, ``mode`` chooses the way, ``hold`` is what lasts.

``session`` has the options and the driver, ``position`` the witness, read from the ``binlog`` where nobody can be asked.
"""

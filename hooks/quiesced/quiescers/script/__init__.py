"""Scripts: ``quiescer`` checks, ``hold`` is what lasts; ``files`` are they, ``process`` runs them, ``says`` reads them."""

"""A JSON API over SQLite with a cache beside it. It knows nothing of Outrider: any service would do."""

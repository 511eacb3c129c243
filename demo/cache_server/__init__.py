"""An in-memory cache over HTTP. It knows nothing of Outrider: any service would do."""

"""Routes of the REST API, a file per topic; every route declares the right that it needs."""

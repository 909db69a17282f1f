"""The web page and its server, on the engine's public view and the ledger."""

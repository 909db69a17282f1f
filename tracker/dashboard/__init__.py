"""Web page and its server: a process of its own, on the ledgers and on messages of a running engine."""

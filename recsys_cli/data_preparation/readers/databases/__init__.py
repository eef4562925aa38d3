"""Rows of databases: one query a table, read-only, from one snapshot, batch by batch."""

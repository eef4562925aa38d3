"""The contract of the input tables: interactions, users, items and external candidates, with their checks."""

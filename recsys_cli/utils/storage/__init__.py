"""Files and object stores: atomic writes, locks, hashes and results by name."""

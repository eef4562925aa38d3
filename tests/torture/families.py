"""All families, in the order of the table."""

from tests.torture import bad_tables, canaries, damage, disks, kills, pickles, signals, together

_MODULES = (kills, disks, together, signals, damage, bad_tables, pickles, canaries)
FAMILIES = tuple(family for module in _MODULES for family in module.FAMILIES)

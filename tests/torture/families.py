"""All families, in the order of the table."""

from tests.torture import (
    bad_tables,
    canaries,
    damage,
    disks,
    kills,
    pickles,
    publishing,
    resume,
    shuffled,
    signals,
    together,
)

_MODULES = (
    kills,
    resume,
    disks,
    publishing,
    together,
    signals,
    damage,
    bad_tables,
    pickles,
    shuffled,
    canaries,
)
FAMILIES = tuple(family for module in _MODULES for family in module.FAMILIES)

"""All families, in the order of the table."""

from tests.torture import (
    bad_tables,
    canaries,
    damage,
    disks,
    kills,
    pickles,
    resume,
    shuffled,
    signals,
    store_faults,
    together,
)

_MODULES = (
    kills,
    resume,
    disks,
    together,
    signals,
    damage,
    bad_tables,
    pickles,
    shuffled,
    canaries,
    store_faults,
)
FAMILIES = tuple(family for module in _MODULES for family in module.FAMILIES)

"""All families, in the order of the table."""

from tests.torture import (
    bad_tables,
    canaries,
    damage,
    disks,
    forged,
    kills,
    pickles,
    resume,
    shuffled,
    signals,
    special_files,
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
    forged,
    special_files,
)
FAMILIES = tuple(family for module in _MODULES for family in module.FAMILIES)

"""All families, in the order of the table."""

from tests.torture import (
    bad_tables,
    canaries,
    damage,
    delays,
    disks,
    forged,
    kills,
    limits,
    pickles,
    publishing,
    resume,
    shuffled,
    signals,
    special_files,
    store_faults,
    storm,
    together,
    web_answers,
)

_MODULES = (
    kills,
    resume,
    disks,
    publishing,
    together,
    delays,
    storm,
    limits,
    signals,
    damage,
    bad_tables,
    pickles,
    shuffled,
    canaries,
    forged,
    special_files,
    store_faults,
    web_answers,
)
FAMILIES = tuple(family for module in _MODULES for family in module.FAMILIES)

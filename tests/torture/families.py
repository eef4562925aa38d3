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
    together,
    web_answers,
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
    web_answers,
)
FAMILIES = tuple(family for module in _MODULES for family in module.FAMILIES)

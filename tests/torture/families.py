"""All families, in the order of the table."""

from tests.torture import (
    bad_tables,
    canaries,
    damage,
    delays,
    disks,
<<<<<<< ours
    forged,
=======
    environment,
    expressions,
>>>>>>> theirs
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
<<<<<<< ours
    publishing,
    together,
    delays,
    storm,
    limits,
=======
    together,
>>>>>>> theirs
    signals,
    damage,
    bad_tables,
    pickles,
    shuffled,
    canaries,
<<<<<<< ours
    forged,
    special_files,
    store_faults,
    web_answers,
=======
    expressions,
    environment,
>>>>>>> theirs
)
FAMILIES = tuple(family for module in _MODULES for family in module.FAMILIES)

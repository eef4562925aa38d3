"""The program `recsys`, also as `python -m recsys_cli`."""

import gc
import os
import re

from recsys_cli.cli.memory_watch import watch_memory_limit
from recsys_cli.cli.signals import (
    end_at_interrupt,
    end_process,
    leave_interrupt_to_the_system,
    raise_at_interrupt,
)
from recsys_cli.utils.errors import ExitCode

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # all work is cut to it; the other threads would spin from numpy's import on
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # they would be looked for in every installed package
    "MPLBACKEND": "agg",  # pictures are written, never shown
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # its others keep what they have freed
}
# The program alone sets up these libraries: their variables would stop them, or load other modules.
_OF_LIBRARIES = re.compile(r"LOGURU_\w*|\w*DYNACONF\w*|MATPLOTLIBRC")
_OBJECTS = 1_000_000  # new ones until Python looks for cycles; at its 700 that is a fifth of a short command


def main() -> int:
    """Run `recsys` with the process's own arguments and return the exit code."""
    try:
        end_at_interrupt()
        from recsys_cli.cli.app import main as run

        raise_at_interrupt()
        return run()
    except KeyboardInterrupt:  # before a command began
        return ExitCode.INTERRUPTED
    finally:
        leave_interrupt_to_the_system()


def program() -> None:
    """Be the process: run `recsys` and end with its exit code."""
    gc.set_threshold(_OBJECTS)
    for name in filter(_OF_LIBRARIES.fullmatch, list(os.environ)):
        del os.environ[name]
    os.environ.update(ENVIRONMENT)
    watch_memory_limit()
    end_process(main())


if __name__ == "__main__":
    program()

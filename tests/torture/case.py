"""What a fault family is made of."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.torture.lab import Kit, Lab


@dataclass(frozen=True)
class Case:
    """One fault; `run` returns what is wrong after it, nothing where the promise holds."""

    name: str
    run: Callable[[Kit], list[str]]


@dataclass(frozen=True)
class Family:
    """Faults of one kind, as a row of the table.

    Attributes:
        cases: yields them; of a quick run a few of each kind.
        obstacle: returns why this machine cannot run them; empty where it can.
        alone: each case takes the whole machine.
        waits: a case waits more than it works, so that several run on a core.
    """

    name: str
    fault: str
    promise: str
    cases: Callable[[Lab, bool], Iterator[Case]]
    obstacle: Callable[[], str] = lambda: ""
    alone: bool = False
    waits: bool = False


def some(cases: list[Case], quick: bool, few: int) -> list[Case]:
    """Return all of them, or of a quick run `few`, each from the middle of its share."""
    if not quick or len(cases) <= few:
        return cases
    return [cases[(2 * place + 1) * len(cases) // (2 * few)] for place in range(few)]

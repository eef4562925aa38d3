"""Every problem that would stop a run is reported at once, not only the first one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from recsys_cli.data_preparation.tables.problems import Problem, as_one_error
from recsys_cli.pipelines.check import inspect_workspace
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.errors import InputError, ModelError, OutputError, RecsysError


@contextmanager
def reraising_with_all_problems(day: ScoringDay) -> Iterator[None]:
    """If the block fails, re-raise its error together with every other problem that would stop the run.

    Raises: what the block raises; an error of inputs, model or output with the other problems in its message.
    """
    try:
        yield
    except RecsysError as error:
        if type(error) not in (InputError, ModelError, OutputError):
            raise
        others = _others(day, type(error))
        if not others:
            raise
        problems = [Problem(error.where, error.what, error.fix), *others]
        what, where, fix = as_one_error(problems, "that stop the run")
        raise type(error)(what, where=where, fix=fix) from error


def _others(day: ScoringDay, kind: type[RecsysError]) -> list[Problem]:
    """Return what would stop the run by another kind of error."""
    found: Mapping[type[RecsysError], list[Problem]] = {}
    with suppress(RecsysError):
        found = inspect_workspace(day).problems
    others = [problem for other, problems in found.items() if other is not kind for problem in problems]
    return [problem for problem in others if problem.severity == "error"]

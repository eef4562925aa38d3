"""An Optuna study in a folder: a journal of JSON lines, so that a search resumes where it was stopped.

Loading it parses text and runs nothing: Optuna's pickled snapshots exist for Redis alone.
"""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, PartialFixedSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from recsys_cli.pipelines.tuning.search_space import Space, settings_that_need_a_refit, tidied
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.regular_files import IrregularFileError, require_readable

_JOURNAL = "journal.jsonl"
_JOURNAL_BYTES = 2**30
_STUDY = "tune"
_SECONDS = "seconds"  # of a trial
_RANDOM_TRIALS = 6  # before the sampler begins to learn
_EVERY = 3  # trial may change what costs a fit of LightFM


class Search:
    """The trials of one search, and the next values to try.

    Attributes:
        space: what is tried.
        today: the values of today's settings: they are the first trial.
    """

    def __init__(self, study: Study, space: Space, today: Mapping[str, Any], seed: int) -> None:
        self.space = space
        self.today = dict(today)
        self._study = study
        self._seed = seed

    def complete(self) -> list[FrozenTrial]:
        """Return the trials that have a value."""
        return self._study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])

    def values(self, trial: FrozenTrial | Trial) -> dict[str, Any]:
        """Return the settings that a trial tries."""
        return tidied(trial.params, self.today)

    def best(self) -> FrozenTrial | None:
        """Return the trial with the largest value; today's settings, then the first, win among equals."""
        trials, first = self.complete(), self.of_today()
        return max([first, *trials] if first else trials, key=_value, default=None)

    def of_today(self) -> FrozenTrial | None:
        """Return the trial of today's settings."""
        return next((trial for trial in self.complete() if self.values(trial) == self.today), None)

    def mean_seconds(self) -> float:
        """Return how long a trial took on average; 0 before the first one."""
        seconds = [trial.user_attrs.get(_SECONDS) or _duration(trial) for trial in self.complete()]
        return float(np.mean(seconds)) if seconds else 0.0

    def begin(self) -> Trial:
        """Begin the next trial."""
        self._study.sampler = self._sampler(len(self._study.get_trials(deepcopy=False)))
        return self._study.ask(dict(self.space))

    def end(self, trial: Trial, value: float, seconds: float) -> None:
        """Record a trial's value, and how long it took."""
        trial.set_user_attr(_SECONDS, seconds)
        self._study.tell(trial, value)

    def fail(self, trial: Trial, reason: str) -> None:
        """Record why a trial has no value."""
        trial.set_user_attr("failure", reason)
        self._study.tell(trial, state=TrialState.FAIL)

    def _sampler(self, number: int) -> BaseSampler:
        """Return a trial's sampler with its own seed: a resumed search equals an uninterrupted one."""
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        sampler = TPESampler(seed=seed, n_startup_trials=_RANDOM_TRIALS)
        best = self.best()
        if self.of_today() is None or best is None:
            fixed = self.today
        elif number % _EVERY == 0:
            return sampler
        else:
            fixed = {key: value for key, value in best.params.items() if key in settings_that_need_a_refit()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return PartialFixedSampler(fixed, sampler)


def open_search(folder: Path, space: Space, today: Mapping[str, Any], seed: int) -> Search:
    """Open a folder's search, or begin it; the caller holds its lock.

    Raises: InputError for a journal that cannot be read; OSError where it cannot be written.
    """
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _JOURNAL
    try:
        _mend(path)
        storage = JournalStorage(JournalFileBackend(str(path)))
        study = optuna.create_study(
            storage=storage, study_name=_STUDY, direction="maximize", load_if_exists=True
        )
        for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            study.tell(trial.number, state=TrialState.FAIL)  # its run was stopped
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, IrregularFileError) as error:
        raise InputError(
            f"the journal of the search cannot be read: {error}",
            where=str(path),
            fix="restore the file, or remove it to search from the beginning",
        ) from error
    return Search(study, space, today, seed)


def _mend(path: Path) -> None:
    """Remove what a killed run has left: a line without its end, and Optuna's own lock."""
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if not os.path.lexists(path):
        return
    require_readable(path, _JOURNAL_BYTES)
    with path.open("r+b") as file:
        whole = file.read().rpartition(b"\n")
        if whole[2]:
            file.truncate(len(whole[0]) + len(whole[1]))


def _duration(trial: FrozenTrial) -> float:
    """Return a trial's seconds from its start and end: journals of earlier versions store no others."""
    return trial.duration.total_seconds() if trial.duration else 0.0


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value

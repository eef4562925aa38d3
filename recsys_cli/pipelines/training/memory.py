"""The memory of a training, estimated before it begins, and what fits into `runtime.max_memory`.

The figures follow from tables and settings alone: under the same bound the same training gives the same
model.
"""

from dataclasses import dataclass
from math import ceil

from loguru import logger

from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.features.day_features import features_without_rows
from recsys_cli.data_preparation.features.labels import label_cuts, window_pairs
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.definition import CatalogueSize
from recsys_cli.models.candidates.registry import sources, sources_on
from recsys_cli.models.candidates.sources.lightfm import LIGHTFM
from recsys_cli.utils.columns import ITEM, USER
from recsys_cli.utils.errors import SettingsError
from recsys_cli.utils.memory_limit import check_memory

_LEAST_ROWS = 10_000  # of the ranker: fewer would teach it little
# Bytes, measured on four data sets of 0.1 to 5 million events:
_LIBRARIES = 540_000_000  # the buffers of CatBoost among them, whose members train side by side
_AN_EVENT = 300  # while tables are read and features made
_A_USER = 500
_A_PAIR = 64  # of LightFM, while it is learnt
_A_COLUMN = 8  # of a row: its byte, and what CatBoost makes of it
_A_ROW = 60  # label, group and weight
_A_ROW_OF_MEMBER = 40  # CatBoost's gradients; members train side by side


@dataclass(frozen=True)
class TrainingBounds:
    """How far a training goes.

    Attributes:
        rows: that the ranker learns from, of all label windows together, at most.
        fits: of LightFM that are learnt side by side, at most.
    """

    rows: int
    fits: int


@dataclass(frozen=True)
class LightFMMemory:
    """Bytes of a fit: of the model that it gives, and what it takes beside it while it is learnt."""

    model: int = 0
    learning: int = 0

    @classmethod
    def of(cls, users: int, items: int, pairs: int, components: int) -> "LightFMMemory":
        """Return what a fit takes: three arrays a side, the model one of them."""
        array = 4 * (users + items) * (components + 1)
        return cls(array, 2 * array + _A_PAIR * pairs)


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that a training takes, rather over- than underestimated.

    Attributes:
        held: by libraries, tables, features and the candidates of users.
        similarities: while they are learnt.
        row: of the ranker.
        window_fit, final_fit: LightFM of a label window, and of all users.
        windows: label windows.
    """

    held: int
    similarities: int
    row: int
    window_fit: LightFMMemory
    final_fit: LightFMMemory
    windows: int

    @property
    def finished_fits(self) -> int:
        """Bytes of LightFM's models, in memory and on disk."""
        return self.windows * self.window_fit.model + self.final_fit.model

    def learning(self, fits: int) -> int:
        """Return the bytes that LightFM takes, its models aside, while so many fits are under way."""
        return self.final_fit.learning + min(fits - 1, self.windows) * self.window_fit.learning

    def total(self, bounds: TrainingBounds) -> int:
        """Return the bytes of a training within bounds; the ranker waits until LightFM's fits are done."""
        work = max(self.learning(bounds.fits), bounds.rows * self.row)
        return self.held + self.similarities + self.finished_fits + work


def training_bounds(tables: Tables, settings: Settings, threads: int, taken: int = 0) -> TrainingBounds:
    """Return how far a training goes: as the settings say, or what `runtime.max_memory` leaves room for.

    Args:
        taken: peak bytes of the process so far.

    Raises: SettingsError, which says what is needed, if even the smallest training has no room;
        OutputError if no bound is set and the machine has no room for it.
    """
    asked, most = TrainingBounds(settings.ranker.max_train_rows, threads), settings.runtime.max_memory_bytes
    memory = training_memory(tables, settings, threads)
    if most is None:
        least = max(memory.total(TrainingBounds(_LEAST_ROWS, threads)), taken)
        check_memory(least, "this training", fix="raise the limit, or set runtime.max_memory")
        return asked
    rows = min(asked.rows, _possible_rows(tables, settings))
    needed = max(memory.total(TrainingBounds(min(rows, _LEAST_ROWS), 1)), taken)
    if needed > most:
        raise _no_room(needed)
    fits = max(some for some in range(1, threads + 1) if memory.total(TrainingBounds(0, some)) <= most)
    room = (most - memory.held - memory.similarities - memory.finished_fits) // memory.row
    bounds = TrainingBounds(asked.rows if room >= rows else room, fits)
    if bounds != asked:
        logger.warning(
            "runtime.max_memory: the ranker learns from {:,} rows at most; LightFM's fits run {} at a time",
            bounds.rows,
            bounds.fits,
        )
    return bounds


def training_memory(tables: Tables, settings: Settings, threads: int) -> TrainingMemory:
    """Return what a training of the tables takes."""
    users, items = tables.events[USER].n_unique(), tables.events[ITEM].n_unique()
    share, lightfm = _sampled(tables, settings), LIGHTFM.section(settings.candidates)
    components = lightfm.no_components
    window_fit = final_fit = LightFMMemory()
    if lightfm.num_candidates:
        events = len(tables.events)
        window_fit = LightFMMemory.of(round(share * users), items, round(share * events), components)
        final_fit = LightFMMemory.of(users, items, events, components)
    return TrainingMemory(
        held=_LIBRARIES
        + _AN_EVENT * len(tables.events)
        + _A_USER * len(tables.users)
        + _candidate_bytes(tables, settings, threads),
        similarities=_similarity_bytes(settings, items, len(tables.items)),
        row=_row_bytes(tables, settings),
        window_fit=window_fit,
        final_fit=final_fit,
        windows=settings.ranker.label_windows,
    )


def _sampled(tables: Tables, settings: Settings) -> float:
    """Return the share of the users that label windows look at."""
    return min(1.0, settings.ranker.max_train_users / max(len(tables.users), 1))


def _possible_rows(tables: Tables, settings: Settings) -> int:
    """Return how many rows the label windows give at most, whatever is asked for: positives and negatives."""
    ranking, rows = settings.ranker, 0
    for cut in label_cuts(tables.day, ranking.label_days, ranking.label_windows):
        pairs = window_pairs(tables, cut, ranking.label_days)
        rows += len(pairs) + ranking.n_negatives * pairs[USER].n_unique()
    return round(_sampled(tables, settings) * rows)


def _similarity_bytes(settings: Settings, learnt: int, items: int) -> int:
    """Return what the fits of the sources take, LightFM's aside.

    Args:
        learnt: items with an event; items: all of them.
    """
    candidates, size = settings.candidates, CatalogueSize(items, learnt)
    needed = {one.fit_section for one in sources_on(candidates, filter_viewed=True)}
    fits = (one for name, one in sources().items() if name in needed)
    return sum(one.fit_bytes(one.section(candidates), size) for one in fits)


def _candidate_bytes(tables: Tables, settings: Settings, threads: int) -> int:
    """Return what the candidates of the chunks under way take, each source's rank, score and norm."""
    count = len(settings.candidates.on(filter_viewed=settings.only_new_items))
    users = min(threads * settings.scoring.chunk_users, settings.ranker.max_train_users, len(tables.users))
    pairs = min(settings.candidates.most_candidates // 2, len(tables.items))  # half: sources agree
    return users * pairs * 4 * (3 * count + 32)


def _row_bytes(tables: Tables, settings: Settings) -> int:
    """Return what a row of the ranker takes while it is learnt from."""
    features = features_without_rows(tables, settings.features)
    count = len(settings.candidates.on(filter_viewed=settings.only_new_items))
    columns = len(features.users.columns) + 2 * len(features.items.columns) + 3 * count
    return _A_ROW + _A_ROW_OF_MEMBER * settings.ranker.members + _A_COLUMN * columns


def _no_room(needed: int) -> SettingsError:
    return SettingsError(
        f"runtime.max_memory leaves no room for this training: about {needed / 1e9:.2f} GB are needed",
        where="runtime.max_memory",
        fix=f"set at least {ceil(needed / 1e7) / 100:.2f}GB, or lower ranker.max_train_users, "
        "candidates.lightfm.no_components, candidates.ease.max_items or runtime.threads",
    )

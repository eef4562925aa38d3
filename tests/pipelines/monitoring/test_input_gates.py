"""Twelve and more spoilt deliveries of a real shop, and its honest nights."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.configs.gate_sections import InputGatesSettings
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import Tables, read_tables
from recsys_cli.data_preparation.tables.input_figures import InputFigures, figures_of
from recsys_cli.pipelines.monitoring.input_gate import InputGate
from recsys_cli.pipelines.monitoring.input_gates import input_gates

DAY, LAST = date(2010, 11, 26), datetime(
    2010, 11, 26
)  # a Friday before Christmas; the shop is closed on Saturdays
WEEK_AGO = LAST - timedelta(days=7)
Frames = dict[str, pl.DataFrame]
Spoil = Callable[[Frames], Frames]

DATA = DataSettings.model_validate(
    {
        "interactions": {"path": "interactions.parquet", "columns": {"event_type": "kind"}},
        "users": {"path": "users.parquet", "features": ["country"]},
        "items": {"path": "items.parquet", "features": ["price", "range"]},
        "events": {"many": {}, "few": {"seen": False}},
    }
)


@pytest.fixture(scope="module")
def frames(retail: Path) -> Frames:
    """The tables of every third customer; types are made of quantities, an item's price of its events."""
    events = pl.read_parquet(retail / "interactions.parquet").filter(pl.col("user_id") % 3 == 0)
    kind = pl.when(pl.col("quantity") >= 12).then(pl.lit("many")).otherwise(pl.lit("few"))
    items = pl.read_parquet(retail / "items.parquet").select("item_id", range=pl.col("item_id").str.head(2))
    prices = events.group_by("item_id").agg(pl.col("price").median())
    return {
        "interactions": events.select("user_id", "item_id", "timestamp", "quantity", kind=kind),
        "users": pl.read_parquet(retail / "users.parquet").filter(pl.col("user_id") % 3 == 0),
        "items": items.join(prices, on="item_id", how="left"),
    }


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Frames], Tables]:
    """Deliver tables as files, and read them as a run does."""

    def delivered(given: Frames) -> Tables:
        folder = tmp_path_factory.mktemp("delivery")
        for name, frame in given.items():
            frame.write_parquet(folder / f"{name}.parquet")
        return read_tables(DATA, InputFolder(folder), DAY, "Europe/London")

    return delivered


@pytest.fixture(scope="module")
def nights(frames: Frames, read: Callable[[Frames], Tables]) -> Callable[[int], InputFigures]:
    """Return the figures of an honest night, so many days before the date."""
    tables = read(frames)

    @cache
    def night(ago: int) -> InputFigures:
        return figures_of(tables.as_of(DAY - timedelta(days=ago)), "same", {})

    return night


def with_events(frames: Frames, events: pl.DataFrame) -> Frames:
    return frames | {"interactions": events}


def cut_history(frames: Frames) -> Frames:
    return with_events(frames, frames["interactions"].filter(pl.col("timestamp") >= WEEK_AGO))


def doubled(frames: Frames) -> Frames:
    return with_events(frames, pl.concat([frames["interactions"]] * 2))


def doubled_week(frames: Frames) -> Frames:
    events = frames["interactions"]
    return with_events(frames, pl.concat([events, events.filter(pl.col("timestamp") >= WEEK_AGO)]))


def half_of_the_week_missing(frames: Frames) -> Frames:
    is_old = pl.col("timestamp") < WEEK_AGO
    return with_events(frames, frames["interactions"].filter(is_old | (pl.int_range(pl.len()) % 2 == 0)))


def last_days_missing(frames: Frames) -> Frames:
    until = LAST - timedelta(days=4)
    return with_events(frames, frames["interactions"].filter(pl.col("timestamp") < until))


def shifted_users(frames: Frames) -> Frames:
    shifted = pl.col("user_id") + 1
    return frames | {name: frames[name].with_columns(shifted) for name in ("interactions", "users")}


def other_items(frames: Frames) -> Frames:
    return with_events(frames, frames["interactions"].with_columns(item_id="0" + pl.col("item_id")))


def one_guest(frames: Frames) -> Frames:
    is_guest = pl.int_range(pl.len()) % 3 == 0
    guest = pl.when(is_guest).then(pl.lit(0)).otherwise(pl.col("user_id")).alias("user_id")
    return with_events(frames, frames["interactions"].with_columns(guest))


def guests_of_the_week(frames: Frames) -> Frames:
    is_guest = (pl.int_range(pl.len()) % 3 == 0) & (pl.col("timestamp") >= WEEK_AGO)
    guest = pl.when(is_guest).then(pl.lit(0)).otherwise(pl.col("user_id")).alias("user_id")
    return with_events(frames, frames["interactions"].with_columns(guest))


def delisted_half(frames: Frames) -> Frames:
    return frames | {"items": frames["items"].with_row_index().filter(pl.col("index") % 2 == 0).drop("index")}


def half_unavailable(frames: Frames) -> Frames:
    gone = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(date(2010, 1, 1))).alias("available_until")
    return frames | {"items": frames["items"].with_columns(gone)}


def nulls(frames: Frames) -> Frames:
    value = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.col("range")).alias("range")
    return frames | {"items": frames["items"].with_columns(value)}


def in_euros(frames: Frames) -> Frames:
    return frames | {"items": frames["items"].with_columns(pl.col("price") * 1.17)}


def in_yen(frames: Frames) -> Frames:
    return frames | {"items": frames["items"].with_columns(pl.col("price") * 133.0)}


def no_bulk(frames: Frames) -> Frames:
    """The newest week comes without one of the types."""
    is_old = pl.col("timestamp") < WEEK_AGO
    return with_events(frames, frames["interactions"].filter(is_old | (pl.col("kind") == "few")))


def a_day_later(frames: Frames) -> Frames:
    return with_events(frames, frames["interactions"].with_columns(pl.col("timestamp").dt.offset_by("1d")))


def in_another_zone(frames: Frames) -> Frames:
    return with_events(frames, frames["interactions"].with_columns(pl.col("timestamp").dt.offset_by("-5h")))


def found(today: InputFigures, past: Sequence[InputFigures]) -> list[InputGate]:
    gates = input_gates(today, past, None, InputGatesSettings())
    return [gate for gate in gates if not gate.holds]


SAME = "share of the same events in the days before the last run"
KNOWN = "events of last week's days that earlier runs counted, too"
MORE_THAN_ONCE = "share of events that are there more than once"
DELIVERIES: list[tuple[Spoil, str]] = [
    (cut_history, "events"),
    (doubled, "events"),
    (doubled_week, "the same of the newest week"),
    (half_of_the_week_missing, KNOWN),
    (last_days_missing, KNOWN),
    (shifted_users, SAME),
    (other_items, SAME),
    (one_guest, "one user's share of the events"),
    (guests_of_the_week, "one user's share of the newest week's"),
    (half_unavailable, "items that may be recommended"),
    (nulls, "nulls of items.range"),
    (in_yen, "all values of items.price, as a multiple of what they were"),
    (no_bulk, "share of 'many' in the newest week's events"),
    (a_day_later, SAME),
    (in_another_zone, SAME),
]


@pytest.mark.parametrize(("spoil", "what"), DELIVERIES, ids=[one.__name__ for one, _ in DELIVERIES])
def test_a_spoilt_delivery_is_stopped_on_the_second_night_and_on_the_two_hundredth(
    spoil: Spoil,
    what: str,
    frames: Frames,
    read: Callable[[Frames], Tables],
    nights: Callable[[int], InputFigures],
) -> None:
    spoilt = figures_of(read(spoil(frames)), "same", {})

    for past in ([nights(1)], [nights(ago) for ago in range(1, 8)]):
        stopped = [gate.what for gate in found(spoilt, past) if gate.severity == "error"]
        assert what in stopped


FIRST_NIGHT: list[tuple[Spoil, str]] = [
    (doubled, MORE_THAN_ONCE),
    (doubled_week, "the same of the newest week"),
    (one_guest, "one user's share of the events"),
    (guests_of_the_week, "one user's share of the newest week's"),
    (no_bulk, "share of 'many' in the newest week's events"),
]


@pytest.mark.parametrize(("spoil", "what"), FIRST_NIGHT, ids=[one.__name__ for one, _ in FIRST_NIGHT])
def test_what_the_tables_themselves_show_is_stopped_on_the_first_night(
    spoil: Spoil, what: str, frames: Frames, read: Callable[[Frames], Tables]
) -> None:
    assert what in [gate.what for gate in found(figures_of(read(spoil(frames)), "same", {}), [])]


def test_a_delisted_half_has_its_events_without_a_row(
    frames: Frames, read: Callable[[Frames], Tables], nights: Callable[[int], InputFigures]
) -> None:
    spoilt = figures_of(read(delisted_half(frames)), "same", {})

    (gate,) = found(spoilt, [nights(1)])[:1]
    assert gate.what == "share of events whose item_id is not in its table"
    is_there = frames["interactions"]["item_id"].is_in(delisted_half(frames)["items"]["item_id"].implode())
    before = frames["interactions"]["timestamp"] < LAST
    assert gate.today == pytest.approx((~is_there & before).sum() / before.sum(), abs=1e-6)


def test_a_slight_change_of_all_prices_is_a_warning(
    frames: Frames, read: Callable[[Frames], Tables], nights: Callable[[int], InputFigures]
) -> None:
    (gate,) = found(figures_of(read(in_euros(frames)), "same", {}), [nights(1)])

    assert (gate.what, gate.severity) == (
        "all values of items.price, as a multiple of what they were",
        "warning",
    )
    assert gate.today == pytest.approx(1.17, abs=0.001)


def test_no_honest_night_is_stopped(nights: Callable[[int], InputFigures]) -> None:
    """A night in seven of the suite's shop; all of them: tests/benchmarks/honest_nights.py."""
    for ago in range(0, 63, 7):
        for past in ([], [nights(ago + 1)], [nights(ago + 1), nights(ago + 2), nights(ago + 7)]):
            assert not [gate for gate in found(nights(ago), past) if gate.severity == "error"]


def test_accepted_figures_hold_for_the_nights_after_them(
    frames: Frames, read: Callable[[Frames], Tables], nights: Callable[[int], InputFigures]
) -> None:
    """Half of the customers go for good: that is accepted once; a cut history is still none of theirs."""
    half = with_events(frames, frames["interactions"].filter(pl.col("user_id") % 2 == 0))
    tables, past = read(half), [nights(ago) for ago in range(2, 8)]
    accepted = figures_of(tables.as_of(DAY - timedelta(days=1)), "same", {})
    today, settings = figures_of(tables, "same", {}), InputGatesSettings()

    assert "events" in [gate.what for gate in found(today, past)]
    assert all(gate.holds for gate in input_gates(today, past, accepted, settings))
    spoilt = figures_of(read(cut_history(half)), "same", {})
    assert "events" in [one.what for one in input_gates(spoilt, past, accepted, settings) if not one.holds]


def test_accepted_shares_are_the_bound_of_later_ones(nights: Callable[[int], InputFigures]) -> None:
    twice = {"repeats": 0.999, "repeats_of_week": 0.999, "top_user": 0.4, "top_item": 0.7}
    today, accepted = nights(1).model_copy(update=twice), nights(3).model_copy(update=twice)
    past, settings = [nights(2), nights(4)], InputGatesSettings()

    wrong = [gate.what for gate in input_gates(today, past, None, settings) if not gate.holds]
    assert "share of events that are there more than once" in wrong
    assert all(gate.holds for gate in input_gates(today, past, accepted, settings))


def test_small_inputs_are_compared_with_nothing(
    frames: Frames, read: Callable[[Frames], Tables], nights: Callable[[int], InputFigures]
) -> None:
    few = figures_of(read(with_events(frames, frames["interactions"].head(900))), "same", {})

    assert not found(few, [])
    assert "events" in [gate.what for gate in found(few, [nights(1)])]  # unless there were more before

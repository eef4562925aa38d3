"""Tables as nobody should deliver them.

Types, nulls, NaN, infinities, duplicates, extreme ids and dates, hostile text.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family
from tests.torture.checks import intact, spoken
from tests.torture.lab import DAY, SCORE, Kit, Lab, in_workspace

_TABLES = 100
_ROWS = 12
_ESCAPE = "\x1b[31mred\x1b[0m"
_HOSTILE = (
    "",
    " ",
    "=1+1",
    "[bold]x[/bold]",
    "{0}",
    "{user}",
    "a\nb",
    "a\0b",
    "../x",
    "007",
    "NaN",
    "\u202eabc",
    _ESCAPE,
)
_TEXTS = st.sampled_from(_HOSTILE) | st.text(max_size=8)
_INTEGERS = {pa.int8(): 7, pa.int16(): 15, pa.int32(): 31, pa.int64(): 63}
_NATURALS = {pa.uint8(): 8, pa.uint16(): 16, pa.uint32(): 32, pa.uint64(): 64}
_KINDS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    **{kind: st.integers(-(2**bits), 2**bits - 1) for kind, bits in _INTEGERS.items()},
    **{kind: st.integers(0, 2**bits - 1) for kind, bits in _NATURALS.items()},
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats() | st.sampled_from([float("nan"), float("inf"), -float("inf"), -0.0, 1e308]),
    pa.string(): _TEXTS,
    pa.large_string(): _TEXTS,
    pa.dictionary(pa.int32(), pa.string()): _TEXTS,
    pa.binary(): st.binary(max_size=8),
    pa.bool_(): st.booleans(),
    pa.null(): st.none(),
    pa.date32(): st.integers(-(2**31), 2**31 - 1),
    pa.timestamp("s"): st.integers(-(2**53), 2**53),
    pa.timestamp("ms"): st.integers(-(2**63), 2**63 - 1),
    pa.timestamp("us"): st.integers(-(2**63), 2**63 - 1),
    pa.timestamp("ns"): st.integers(-(2**63), 2**63 - 1),
    pa.timestamp("us", "Asia/Tokyo"): st.integers(0, 2**51),
    pa.duration("us"): st.integers(-(2**40), 2**40),
    pa.time64("us"): st.integers(0, 86_399_999_999),
    pa.decimal128(20, 3): st.decimals(-(10**9), 10**9, places=3),
    pa.list_(pa.int64()): st.lists(st.integers(-9, 9), max_size=3),
    pa.struct({"a": pa.int64()}): st.fixed_dictionaries({"a": st.integers(-9, 9)}),
}
_INTEGER_BACKED = (pa.types.is_date32, pa.types.is_timestamp, pa.types.is_duration, pa.types.is_time64)
_CODES = {
    ExitCode.OK,
    ExitCode.CHECK,
    ExitCode.USAGE,
    ExitCode.INPUT,
    ExitCode.MODEL,
}  # 2: its filter names a column


_GATES = "the lists fail the publish gates"
_CHECKED = {ExitCode.OK, ExitCode.CHECK, ExitCode.USAGE}


@dataclass(frozen=True)
class Harm:
    """What becomes of one of the three tables."""

    name: str
    words: str
    change: Callable[[pa.Table], pa.Table]


def generated(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield one or two harmed tables of the three, each the same in every run."""
    columns = {name: pq.read_schema(lab.ready / f"data/{name}.parquet").names for name in _NAMES}
    for number, harms in enumerate(_examples(columns, 2 if quick else _TABLES)):
        words = "; ".join(f"{harm.name}: {harm.words}" for harm in harms)
        yield Case(f"{number}: {words}", partial(_met, harms))


_NAMES = ("interactions", "users", "items")


def _examples(columns: dict[str, list[str]], count: int) -> list[tuple[Harm, ...]]:
    found: list[tuple[Harm, ...]] = []
    one = st.sampled_from(_NAMES).flatmap(lambda name: _harms(name, columns[name]))
    some = st.lists(one, min_size=1, max_size=2, unique_by=lambda harm: harm.name)

    @settings(
        max_examples=count,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(some)
    def collect(harms: list[Harm]) -> None:
        found.append(tuple(harms))

    collect()  # pylint: disable=no-value-for-parameter
    return found[:count]


def _harms(name: str, columns: list[str]) -> st.SearchStrategy[Harm]:
    column = st.sampled_from(columns)
    typed = st.sampled_from(list(_KINDS)).flatmap(
        lambda kind: st.tuples(column, st.just(kind), _cells(kind), st.booleans())
    )
    return st.one_of(
        typed.map(lambda told: _replaced(name, *told)),
        typed.map(lambda told: _replaced(name, *told)),  # the most promising: twice as often
        st.tuples(column, st.lists(st.integers(0, 99), min_size=1, max_size=9)).map(
            lambda told: _nulled(name, *told)
        ),
        st.integers(1, 30).map(lambda rows: _repeated(name, rows)),
        column.map(lambda one: Harm(name, f"no column {one}", lambda table: table.drop_columns([one]))),
        _TEXTS.map(lambda text: _renamed(name, columns[0], text)),
        st.integers(0, 3).map(lambda rows: Harm(name, f"{rows} rows", lambda table: table.slice(0, rows))),
    )


def _cells(kind: pa.DataType) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | _KINDS[kind], min_size=1, max_size=_ROWS)


def _replaced(name: str, column: str, kind: pa.DataType, cells: list[Any], all_rows: bool) -> Harm:
    """Give a column another type and these cells: in all rows, over and over, or in as many as there are"""

    def change(table: pa.Table) -> pa.Table:
        short = table if all_rows else table.slice(0, len(cells))
        values = (cells * (len(short) // len(cells) + 1))[: len(short)]
        return short.set_column(short.column_names.index(column), column, _array(values, kind))

    return Harm(name, f"{column} as {kind}: {cells!r:.90}{', all rows' if all_rows else ''}", change)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if any(test(kind) for test in _INTEGER_BACKED):
        width = pa.int32() if pa.types.is_date32(kind) else pa.int64()
        return pa.array(values, width).cast(kind)
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, kind)


def _nulled(name: str, column: str, rows: list[int]) -> Harm:
    def change(table: pa.Table) -> pa.Table:
        cells = table[column].to_pylist()
        for row in rows:
            cells[row % len(cells)] = None
        field = table.schema.field(column)
        return table.set_column(table.column_names.index(column), column, pa.array(cells, field.type))

    return Harm(name, f"{column} null in rows {rows}", change)


def _repeated(name: str, rows: int) -> Harm:
    return Harm(name, f"{rows} rows twice", lambda table: pa.concat_tables([table, table.slice(0, rows)]))


def _renamed(name: str, column: str, text: str) -> Harm:
    def change(table: pa.Table) -> pa.Table:
        return table.rename_columns([text if one == column else one for one in table.column_names])

    return Harm(name, f"{column} is called {text!r}", change)


def _met(harms: tuple[Harm, ...], kit: Kit) -> list[str]:
    workspace = kit.workspace(kit.lab.ready)
    for harm in harms:
        file = workspace / f"data/{harm.name}.parquet"
        pq.write_table(harm.change(pq.read_table(file)), file)
    checked = kit.in_place.run("-q", *in_workspace(workspace, "check", "--date", DAY))
    scored = kit.in_place.run("-q", *in_workspace(workspace, *SCORE))
    problems = [f"check: {problem}" for problem in spoken(checked, _CHECKED)]
    problems += [f"score: {problem}" for problem in spoken(scored, _CODES)]
    is_gated = scored.code == ExitCode.CHECK and _GATES in scored.err  # of lists, which check does not make
    stops = {ExitCode.CHECK, ExitCode.INPUT, ExitCode.MODEL}
    if checked.code == ExitCode.OK and scored.code in stops and not is_gated:
        problems.append(f"check finds nothing, score stops: {scored.err.splitlines()[0]}")
    return problems + _lists(workspace, kit, scored.code)


def _lists(workspace: Path, kit: Kit, code: int) -> list[str]:
    if code == ExitCode.OK:
        return intact(workspace, kit.lab.old)
    return intact(workspace, kit.lab.old, b"")  # the old ones alone


FAMILIES = (
    Family(
        "bad-tables",
        "generated bad tables, through check and score",
        "a documented exit code, no traceback; old lists, or new ones that are whole",
        generated,
    ),
)

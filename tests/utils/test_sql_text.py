"""What a SQL expression may be, and that polars gets nothing else."""

import re

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_cli.utils.sql_text import DEEPEST, LONGEST_TEXT, MOST_OPERATORS, names_in, rewritten

_PIECES = (
    *(
        "a",
        "n",
        "1",
        "'x'",
        '"a"',
        "`a`",
        "(",
        ")",
        ",",
        ".",
        "[",
        "]",
        "=",
        "*",
        "-",
        "--",
        "/*",
        "*/",
        "'",
        '"',
        "`",
    ),
    *(
        "SELECT",
        "FROM",
        "read_csv",
        "read_parquet",
        "COLUMNS",
        "OR",
        "AND",
        "IN",
        "NOT",
        "CASE",
        "END",
        "AS",
        "INT",
    ),
    *(
        "EXISTS",
        "UNION",
        "abs",
        "DATE",
        "E'",
        "X'41'",
        "$$",
        ";",
        "\n",
        " ",
        "\\",
        "''",
        "||",
        "EXTRACT",
        "YEAR",
    ),
)
_WORD = re.compile(r"[A-Z_a-z]\w*")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("price > 3", '"price" > 3'),
        ("title = 'it''s' -- a remark", "\"title\" = 'it''s'"),
        ("title = '-- SELECT /*' /* a /* nested */ one */", "\"title\" = '-- SELECT /*'"),
        ("n IN (-1, 2)", '"n" IN ( -1 , 2 )'),
        ('"SELECT" = `from`', '"SELECT" = "from"'),
        ('"a""b" = 1', '"a""b" = 1'),
        ("extract(year from day) = 2026", 'EXTRACT ( YEAR FROM "day" ) = 2026'),
        ("date > DATE '2026-11-23'", "\"date\" > DATE '2026-11-23'"),
        ("a is not distinct from b", '"a" IS NOT DISTINCT FROM "b"'),
        ("CAST(year AS INT) = tags.select", 'CAST ( "year" AS INT ) = "tags" . "select"'),
        ("цена::bigint < .5e3", '"цена" :: BIGINT < .5e3'),
    ],
)
def test_text_is_written_anew_from_what_was_understood(text, expected):
    assert rewritten(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("item_id IN (SELECT x FROM read_csv('/etc/passwd'))", "contains SELECT"),
        ("item_id IN (/**/sElEcT 1)", "contains sElEcT"),
        ("EXISTS (TABLE items)", "contains EXISTS"),
        ("a IN (VALUES (1))", "contains VALUES"),
        ("a = 1 UNION ALL b", "contains UNION"),
        ("read_csv('/etc/passwd') = 1", "calls read_csv"),
        ("\"read_csv\"('/etc/passwd') = 1", 'calls "read_csv"'),
        ("`read_csv` /* */ ('/etc/passwd') = 1", 'calls "read_csv"'),
        ("s.read_csv('/etc/passwd') = 1", 'calls "read_csv"'),
        ("columns('.*') = 1", "calls columns"),
        ("replace(a, '', 'xx') = 'x'", "calls replace"),
        ("now() > day", "calls now"),
        ("day < current_date", "must not read the clock"),
        ("sum(n) OVER () > 1", "calls sum"),
        ("n IN (1) OVER ()", "contains OVER"),
        ("CAST(a AS DECIMAL(1000, 2)) > 1", "casts to DECIMAL"),
        ("CAST(a AS VARCHAR(10)) = 'x'", "is no function"),
        ("n = 1 nonsense", 'has no operator between 1 and "nonsense"'),
        ("a = 'x' 'y'", "has no operator between a text and a text"),
        ("E'x' = a", "has no operator"),
        ("a = $$x$$", "cannot be read from its character 5 on ($)"),
        ("a = ?", "cannot be read"),
        ("a || b = 'x'", "join texts by concat(a, b)"),
        ('"*" = 1', "names columns by the pattern *"),
        ('"^.*$" = 1', "names columns by the pattern ^.*$"),
        ("a = 1; SELECT 1", "cannot be read from its character 6 on (;)"),
        ("n = 1_000", "cannot be read from its character 5 on (1)"),
        ("n = 0x10", "cannot be read from its character 5 on (0)"),
        ("a = 'x", "a quotation mark is not closed"),
        ("a = 1 /* x", "a comment that does not end"),
        ("* = 1", "follows no value"),
        ("abs(*) = 1", "follows no value"),
        ("['x'] = a", "follows no value"),
        ("(a = 1", "does not end: ) is missing"),
        ("a = 1)", "closes nothing"),
        ("CASE WHEN a THEN b", "does not end: END is missing"),
        ("-- nothing", "is empty"),
        ("   ", "is empty"),
        ("a = '\udcff'", "is not UTF-8 text"),
        ("n = " + "9" * 5_000, "has a number of 5,000 characters"),
    ],
)
def test_what_is_not_allowed_is_named(text, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        rewritten(text)


def test_limits():
    values = ", ".join(f"'i{number}'" for number in range(10_000))
    assert rewritten(f"item_id IN ({values})")
    alternatives = [f"item = 'x{number}'" for number in range(10_000)]
    assert rewritten(" OR ".join(alternatives[: MOST_OPERATORS // 2]))
    for text, reason in (
        (" OR ".join(alternatives), "has 19,999 operators; 200 are allowed"),
        (f"item_id IN ({values}, other)", "has 10,001 operators"),
        (f"coalesce({values}) = 'x'", "has 10,001 operators"),
        ("(" * (DEEPEST + 1) + "a" + ")" * (DEEPEST + 1), "nested deeper than 24"),
        ("CASE WHEN a THEN b ELSE " * 50 + "c" + " END" * 50, "nested deeper than 24"),
        ("NOT " * 1_000 + "a", "has 1,000 operators"),
        (" " * LONGEST_TEXT + "a", "is 200,001 characters long; 200,000 are allowed"),
    ):
        with pytest.raises(ValueError, match=re.escape(reason)):
            rewritten(text)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=14), st.sampled_from(["", " "]))
def test_polars_never_gets_a_query_or_an_unknown_function(pieces, between):
    try:
        text = rewritten(between.join(pieces))
    except ValueError:
        return
    bare = re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", " ", text)
    assert not re.search(r"['\"`$;\\]|--|/\*", bare)
    assert not {word.upper() for word in _WORD.findall(bare)} & {
        "SELECT",
        "READ_CSV",
        "READ_PARQUET",
        "COLUMNS",
    }
    assert not re.search(r"\"\s*\(", text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20))
def test_any_text_can_be_compared_with(value):
    quoted = value.replace("'", "''")
    frame = pl.DataFrame({"a": [value, value + "!", None]})
    try:
        text = rewritten(f"a = '{quoted}' -- '")
    except ValueError as error:
        assert "UTF-8" in str(error)
        return
    assert frame.select(pl.sql_expr(text)).to_series().to_list() == [True, False, None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("country = Users.country", '"items.country" = "users.country"'),
        ("items.a > `users`.`b c`", '"items.a" > "users.b c"'),
        ("coalesce(users, items) = 1", 'COALESCE ( "items.users" , "items.items" ) = 1'),
        ("users.x.y = a.b", '"users.x" . "y" = "items.a" . "b"'),
        ('"users.x" = 1', '"items.users.x" = 1'),
        ("users.", '"items.users" .'),
        ("users. 'x'", "\"items.users\" . 'x'"),
    ],
)
def test_columns_get_the_names_of_their_tables(text, expected):
    assert rewritten(text, ("items", "users")) == expected
    assert rewritten("users.x = 1") == '"users" . "x" = 1'
    assert names_in("users.x = y", ("items", "users")) == {"users.x", "items.y"}

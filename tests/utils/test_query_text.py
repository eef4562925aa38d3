"""What a query for a database may be, and where its date stands."""

import pytest

from recsys_cli.utils.query_text import has_date, problem_of_query, with_parameter


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM events WHERE at < {date}",
        "  -- the events\n(select 1);\n",
        "WITH new AS (SELECT 1) SELECT * FROM new",
        "/* ; */ SELECT ';' AS \";\" -- ;\n, `;`",
        "SELECT 'it''s {nothing}'",
    ],
)
def test_a_query_that_reads_is_taken(text: str) -> None:
    assert problem_of_query(text) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("DELETE FROM events", "does not start with SELECT"),
        ("-- SELECT\nDROP TABLE events", "does not start with SELECT"),
        ("selection", "does not start with SELECT"),
        ("", "does not start with SELECT"),
        ("SELECT 1; DROP TABLE events", "has several statements"),
        ("SELECT 1;\n-- the end", "has several statements"),
        ("SELECT * FROM events WHERE at < '{date}'", "inside quotes"),
        ('SELECT "{date}"', "inside quotes"),
    ],
)
def test_what_is_none_is_refused_with_the_reason(text: str, problem: str) -> None:
    assert problem in str(problem_of_query(text))


def test_the_date_is_a_parameter_wherever_it_stands_outside_of_texts_and_comments() -> None:
    text = "SELECT '{day}', a -- {date}\nFROM t WHERE at < {date} AND {date} > b /* {date} */ ; "
    assert with_parameter(text, "$1") == (
        "SELECT '{day}', a -- {date}\nFROM t WHERE at < $1 AND $1 > b /* {date} */"
    )
    assert has_date(text) and not has_date("SELECT 1 -- {date}\n")

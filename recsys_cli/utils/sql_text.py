"""The text of a SQL expression, checked before polars sees it: its words, its functions and its size.

polars opens files and addresses while it parses, and a long chain of operators ends the process. So a text is
split into tokens here and written anew from them: polars gets nothing that was not understood.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

LONGEST_TEXT: Final = 200_000  # characters: some 20,000 values in a list
MOST_OPERATORS: Final = 200  # polars takes seconds for 1,000; some 3,000 end the process
DEEPEST: Final = 24  # parentheses, calls and CASE inside each other; polars parses some 40
_LONGEST_NUMBER: Final = 38  # characters: as many digits as polars takes
_SHOWN: Final = 60  # characters of a token in a message

# Each works on a row alone and reads no clock; none opens anything or makes a text longer than its inputs.
FUNCTIONS: Final = frozenset("""
    ABS CEIL CEILING FLOOR ROUND SIGN SQRT CBRT EXP LN LOG LOG2 LOG10 LOG1P POW POWER MOD DIV
    LOWER UPPER INITCAP LENGTH CHAR_LENGTH OCTET_LENGTH LEFT RIGHT SUBSTR SUBSTRING TRIM LTRIM RTRIM REVERSE
    CONCAT STARTS_WITH ENDS_WITH STRPOS POSITION REGEXP_LIKE
    COALESCE NULLIF IFNULL GREATEST LEAST IF CAST TRY_CAST
    DATE_PART EXTRACT ARRAY_CONTAINS ARRAY_LENGTH
    """.split())
TYPES: Final = frozenset("""
    TINYINT SMALLINT INT INTEGER BIGINT FLOAT REAL DOUBLE BOOLEAN BOOL VARCHAR TEXT STRING
    DATE TIME TIMESTAMP DATETIME
    """.split())
_OPERATOR_WORDS: Final = frozenset("AND OR NOT IN IS BETWEEN LIKE ILIKE RLIKE REGEXP CASE WHEN".split())
_KEYWORDS: Final = _OPERATOR_WORDS | frozenset("NULL TRUE FALSE THEN ELSE END AS DISTINCT".split())
_BEFORE_TEXT: Final = frozenset({"DATE", "TIMESTAMP", "INTERVAL"})  # DATE '2026-11-23'
_QUERY_WORDS: Final = frozenset("SELECT FROM WHERE WITH UNION VALUES TABLE JOIN OVER EXISTS".split())
_CLOCKS: Final = frozenset({"CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"})
_DATE_FIELDS: Final = frozenset(
    "YEAR ISOYEAR QUARTER MONTH WEEK DAY DOY DOW ISODOW HOUR MINUTE SECOND EPOCH".split()
)
_OPERATORS: Final = ("<=>", "!~*", "<>", "<=", ">=", "!=", "==", "!~", "~*", "::", "//", "^@", *"=<>~+-*/%&")
_ENDS: Final = {"(": ")", "[": "]", "CASE": "END"}
_PATTERNS: Final = {
    "space": r"\s+|--[^\n]*",
    "comment": r"/\*",
    "text": r"'(?:[^']|'')*'",
    "column": r'"(?:[^"]|"")+"|`[^`]+`',
    "number": r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?(?!\w)",
    "word": r"[^\W\d]\w*",
    "operator": "|".join(map(re.escape, _OPERATORS)) + r"|\|(?!\|)",
    "sign": r"[()\[\],.]",
}
_COMMENT_SIGN: Final = r"/\*|\*/"


@dataclass(frozen=True)
class Token:
    """A token as polars gets it; its kind is one of `_PATTERNS`, or keyword, function or type."""

    kind: str
    text: str

    def __str__(self) -> str:
        """The token in a message; what is quoted may be a secret."""
        return "a text" if self.kind == "text" else _short(self.text)

    @property
    def is_literal(self) -> bool:
        """Whether it is a text or a number."""
        return self.kind in ("text", "number")

    @property
    def begins_value(self) -> bool:
        """Whether it is a value, or the first part of one."""
        return self.is_literal or self.kind in ("column", "function")

    @property
    def ends_value(self) -> bool:
        """Whether it is a value, or the last part of one."""
        is_last = self.text in (")", "]", "END", "NULL", "TRUE", "FALSE")
        return self.is_literal or is_last or self.kind in ("column", "type")


_NOTHING: Final = Token("", "")
_DOT: Final = Token("sign", ".")


def rewritten(text: str, tables: Sequence[str] = ()) -> str:
    """Return a SQL expression as polars may parse it: without comments, its columns quoted.

    Args:
        tables: that it may name, as in users.country; columns become TABLE.COLUMN, by default the first's.

    Raises: ValueError, which says what is not allowed or which limit is passed.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"is {len(text):,} characters long; {LONGEST_TEXT:,} are allowed")
    if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("is not UTF-8 text")
    tokens = _understood(list(_raw_tokens(text)))
    if not tokens:
        raise ValueError("is empty")
    _check_order(tokens)
    _check_nesting(tokens)
    _check_operators(tokens)
    return " ".join(token.text for token in _with_tables(tokens, tables))


def names_in(text: str, tables: Sequence[str] = ()) -> set[str]:
    """Return the columns that a SQL expression uses, named as by `rewritten`; none if it cannot be read."""
    try:
        tokens = _with_tables(_understood(list(_raw_tokens(text))), tables)
    except ValueError:
        return set()
    return {_name_of(token) for token in tokens if token.kind == "column"}


def _with_tables(tokens: list[Token], tables: Sequence[str]) -> list[Token]:
    """Return the tokens with `users.country` as one column of this name."""
    named: list[Token] = []
    rest = list(reversed(tokens)) if tables else []
    while rest:
        token = rest.pop()
        if token.kind != "column" or named[-1:] == [_DOT]:  # the latter: a field of a column
            named.append(token)
            continue
        table = _name_of(token).lower()
        if table in tables and rest[-1:] == [_DOT] and rest[-2:][0].kind == "column":
            named.append(_column(f"{table}.{_name_of(rest[-2])}"))
            del rest[-2:]
        else:
            named.append(_column(f"{tables[0]}.{_name_of(token)}"))
    return named if tables else tokens


def _name_of(column: Token) -> str:
    return column.text[1:-1].replace('""', '"')


@cache
def _token_pattern() -> re.Pattern[str]:
    """Return what a token is; compiled when the settings have an expression."""
    return re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS.items()))


def _raw_tokens(text: str) -> Iterator[Token]:
    pattern, place = _token_pattern(), 0
    while place < len(text):
        found = pattern.match(text, place)
        if found is None:
            raise ValueError(f"cannot be read from its character {place + 1:,} on{_hint(text[place])}")
        kind, place = str(found.lastgroup), found.end()
        if kind == "comment":
            place = _comment_end(text, place)
        elif kind != "space":
            yield Token(kind, found[0])


def _hint(sign: str) -> str:
    if sign in "'\"`":
        return ": a quotation mark is not closed"
    return f" ({sign}); join texts by concat(a, b)" if sign == "|" else f" ({sign})"


def _comment_end(text: str, place: int) -> int:
    """Return where the comment ends that began before `place`; comments nest."""
    depth = 1
    for sign in re.compile(_COMMENT_SIGN).finditer(text, place):
        depth += 1 if sign[0] == "/*" else -1
        if not depth:
            return sign.end()
    raise ValueError("has a comment that does not end: */ is missing")


def _understood(raw: Sequence[Token]) -> list[Token]:
    """Return the tokens as polars gets them; what a word is depends on its neighbours."""
    understood: list[Token] = []
    for token, after in zip(raw, [*raw[1:], _NOTHING], strict=False):
        if token.kind == "word":
            understood.append(_word(token.text, understood, after))
        elif token.kind == "number":
            understood.append(_number(token.text, understood))
        else:
            understood.append(_quoted(token.text) if token.kind == "column" else token)
    return understood


def _number(text: str, before: list[Token]) -> Token:
    """Return a number; in a list of values its minus sign belongs to it."""
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"has a number of {len(text):,} characters; {_LONGEST_NUMBER} are allowed")
    if len(before) > 1 and before[-1].text == "-" and before[-2].text in ("(", ","):
        return Token("number", f"{before.pop().text}{text}")
    return Token("number", text)


def _quoted(text: str) -> Token:
    return _column(text[1:-1] if text[0] == "`" else text[1:-1].replace('""', '"'))


def _column(name: str) -> Token:
    if name == "*" or (name.startswith("^") and name.endswith("$")):
        raise ValueError(f"names columns by the pattern {_short(name)}: name each")
    return Token("column", '"' + name.replace('"', '""') + '"')


def _word(word: str, before: Sequence[Token], after: Token) -> Token:
    upper, last = word.upper(), before[-1].text if before else ""
    if last in ("AS", "::"):
        return _type(upper, word)
    if last == ".":  # a field of a column
        return _column(word)
    if upper in _KEYWORDS or _is_keyword_here(upper, before, after):
        return Token("keyword", upper)
    if upper in _QUERY_WORDS:
        raise ValueError(f"contains {word}: it must not be a query; quote a column of this name")
    if after.text == "(":
        return _function(upper, word)
    if upper in _CLOCKS:
        raise ValueError(f"contains {word}: it must not read the clock")
    return _column(word)


def _is_keyword_here(upper: str, before: Sequence[Token], after: Token) -> bool:
    """Return whether a word is one where it stands: DATE '…', EXTRACT(YEAR FROM …), IS DISTINCT FROM."""
    words = [token.text for token in before[-3:]]
    if upper == "FROM":
        return words[-1:] == ["DISTINCT"] or words[:2] == ["EXTRACT", "("] and words[-1] in _DATE_FIELDS
    if upper in _BEFORE_TEXT and after.kind == "text":
        return True
    return upper in _DATE_FIELDS and words[-2:] == ["EXTRACT", "("]


def _type(upper: str, word: str) -> Token:
    if upper not in TYPES:
        raise ValueError(f"casts to {_short(word)}; the types are {', '.join(sorted(TYPES))}")
    return Token("type", upper)


def _function(upper: str, word: str) -> Token:
    if upper not in FUNCTIONS:
        raise ValueError(f"calls {_short(word)}; the functions are {', '.join(sorted(FUNCTIONS))}")
    return Token("function", upper)


def _check_order(tokens: Sequence[Token]) -> None:
    """Check that operators join values: polars calls a quoted name and renames by a second value."""
    for before, token in zip([_NOTHING, *tokens], tokens, strict=False):
        if before.ends_value and token.text == "(":
            raise ValueError(f"calls {before}, which is no function")
        if before.ends_value and token.begins_value:
            raise ValueError(f"has no operator between {before} and {token}")
        if token.text in ("*", "[") and not before.ends_value:
            raise ValueError(f"has a {token.text} that follows no value")


def _check_nesting(tokens: Sequence[Token]) -> None:
    ends: list[str] = []
    for token in tokens:
        if token.text in _ENDS:
            ends.append(_ENDS[token.text])
        elif token.text in _ENDS.values() and (not ends or ends.pop() != token.text):
            raise ValueError(f"has a {token.text} that closes nothing")
        if len(ends) > DEEPEST:
            raise ValueError(f"is nested deeper than {DEEPEST} levels")
    if ends:
        raise ValueError(f"does not end: {ends[-1]} is missing")


def _check_operators(tokens: Sequence[Token]) -> None:
    operators = sum(map(_is_operator, tokens)) - _commas_between_literals(tokens)
    if operators > MOST_OPERATORS:
        raise ValueError(
            f"has {operators:,} operators; {MOST_OPERATORS} are allowed: "
            "write many values as item_id IN ('a', 'b', …)"
        )


def _is_operator(token: Token) -> bool:
    is_word = token.kind == "keyword" and token.text in _OPERATOR_WORDS
    return is_word or token.kind in ("operator", "function") or token.text == ","


def _commas_between_literals(tokens: Sequence[Token]) -> int:
    """Return the commas of IN lists that hold literals alone: polars makes one column of these."""
    commas, found = 0, 0
    is_list = False
    for before, token in zip([_NOTHING, *tokens], tokens, strict=False):
        if token.text == "(":
            is_list, found = before.text == "IN", 0
        elif is_list and token.text == ")":
            commas, is_list = commas + found, False
        elif token.text == ",":
            found += 1
        else:
            is_list = is_list and token.is_literal
    return commas


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

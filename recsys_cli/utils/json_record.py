"""JSON objects that recsys writes and reads again, as frozen types."""

import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from recsys_cli.utils.json_schema import validated


class JsonRecord(BaseModel):
    """A JSON object that recsys writes and reads again.

    A key that this version does not know stays: nothing is lost where an object only passes through. A field
    whose key in the file has another name has that one as its alias.

    Example:
        class Figure(JsonRecord):
            users: int

        Figure.read({"users": 3}).as_json()
    """

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="allow",
        validate_by_name=True,
        validate_by_alias=True,
        defer_build=True,
    )

    @classmethod
    def read(cls, value: object) -> Self:
        """Return a JSON value as such an object.

        Raises: ValueError that names the first place where it is something else.
        """
        return validated(value, cls)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object: the keys that were given or read, in the order of the fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def as_stored(self) -> dict[str, Any]:
        """Return the JSON object with its keys in the order that files have: that of the alphabet."""
        stored: dict[str, Any] = json.loads(json.dumps(self.as_json(), sort_keys=True))
        return stored


def _from_text(read: Callable[[str], Any]) -> BeforeValidator:
    return BeforeValidator(lambda value: read(value) if isinstance(value, str) else value)


def _moment(value: datetime) -> datetime:
    """Return a time of a clock that works: no arithmetic leaves the calendar."""
    if value.utcoffset() is None or not 1970 <= value.year <= _LAST_YEAR:
        raise ValueError("it is no time with an offset from UTC, from 1970 on")
    return value


def _moment_text(text: str) -> str:
    _moment(datetime.fromisoformat(text))
    return text


def _naive(value: datetime) -> datetime:
    if value.tzinfo is not None:
        raise ValueError("it is a time with an offset, where UTC goes without saying")
    return value


def _day(text: str) -> date:
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError("it is not written as YYYY-MM-DD")
    return day


_LAST_YEAR: Final = 2999
_LARGEST: Final = 2**53  # that every reader of JSON keeps

Count = Annotated[int, Field(ge=0, le=_LARGEST)]
Figure = Annotated[float, Field(ge=-1e30, le=1e30, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
Word = Annotated[str, Field(max_length=1_000)]  # a name, a version, a hash
RunId = Annotated[str, Field(pattern=r"\A[A-Za-z0-9_-]{1,100}\z")]  # it is a folder's name
Sha256 = Annotated[str, Field(pattern=r"\A[0-9a-f]{64}\z")]
Day = Annotated[date, _from_text(_day)]
Moment = Annotated[
    datetime,
    _from_text(datetime.fromisoformat),
    AfterValidator(_moment),
    PlainSerializer(datetime.isoformat),
]
MomentText = Annotated[str, AfterValidator(_moment_text)]
UtcTime = Annotated[  # without an offset
    datetime,
    _from_text(datetime.fromisoformat),
    AfterValidator(_naive),
    PlainSerializer(datetime.isoformat),
]

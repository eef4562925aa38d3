"""JSON objects that recsys writes and reads again, as frozen types."""

import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

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
        strict=True, frozen=True, extra="allow", validate_by_name=True, validate_by_alias=True
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


Day = Annotated[date, _from_text(date.fromisoformat)]
Moment = Annotated[datetime, _from_text(datetime.fromisoformat), PlainSerializer(datetime.isoformat)]

"""Foreign JSON values held against a schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

Schema = TypeVar("Schema", bound=BaseModel)
Value = TypeVar("Value")


def judged(value: Any, schema: type[Schema]) -> Schema:
    """Return a JSON value as what the schema says that it is.

    Raises: ValueError that tells the first place where it is not.
    """
    with _first_place():
        return schema.model_validate(value)


def judged_json(content: bytes, schema: TypeAdapter[Value]) -> Value:
    """Return the JSON value in a file's content as what the schema says that it is.

    Raises: ValueError that tells the first place where it is not.
    """
    with _first_place():
        return schema.validate_json(content)


@contextmanager
def _first_place() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

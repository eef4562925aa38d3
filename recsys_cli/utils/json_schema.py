"""Validation of JSON that comes from files against a schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

Schema = TypeVar("Schema", bound=BaseModel)
Value = TypeVar("Value")


def validated(value: Any, schema: type[Schema]) -> Schema:
    """Return a JSON value as an object of the schema.

    Raises: ValueError that names the first key that does not fit.
    """
    with _as_value_error():
        return schema.model_validate(value)


def validated_json(content: bytes, schema: TypeAdapter[Value]) -> Value:
    """Parse a file's content and return the JSON value that the schema describes.

    Raises: ValueError that names the first key that does not fit.
    """
    with _as_value_error():
        return schema.validate_json(content)


@contextmanager
def _as_value_error() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

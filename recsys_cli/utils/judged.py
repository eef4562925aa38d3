"""Foreign JSON values held against a schema."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Schema = TypeVar("Schema", bound=BaseModel)


def judged(value: Any, schema: type[Schema]) -> Schema:
    """Return a JSON value as what the schema says that it is.

    Raises: ValueError that tells the first place where it is not.
    """
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

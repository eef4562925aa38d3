"""Messages about invalid settings: one line per problem, secrets masked."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from recsys_cli.configs.layers import Layer, setting_at
from recsys_cli.configs.schema import close_keys, known_keys
from recsys_cli.configs.secrets import masked, shown

BUILT_IN = "built-in default"


def problems_of(error: ValidationError, layer: Layer) -> list[str]:
    """Return each problem as `key = value (origin): reason`."""
    return [_line(detail, layer) for detail in error.errors(include_url=False)]


def _line(detail: ErrorDetails, layer: Layer) -> str:
    path = [str(one) for one in detail["loc"]]
    key = ".".join(path)
    if not key:  # two settings that contradict each other
        return _reason(key, detail)
    setting = setting_at(layer, path)
    secret = setting is not None and setting.secret
    value: Any = detail["input"]
    reason = _reason(key, detail)
    if secret:
        reason = masked(reason, value)
    return f"{key} = {shown(value, secret=secret)} ({setting.origin if setting else BUILT_IN}): {reason}"


def _reason(key: str, detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        close = close_keys(key, known_keys())
        return "no such setting" + (f"; did you mean {' or '.join(close)}?" if close else "")
    if detail["type"] == "model_type":
        return "must be a table of settings"
    reason = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return reason[:1].lower() + reason[1:]

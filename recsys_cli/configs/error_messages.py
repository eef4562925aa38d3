"""Messages about invalid settings: one line per problem, secrets masked."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from recsys_cli.configs.layers import Layer, setting_at
from recsys_cli.configs.renamed_settings import GONE
from recsys_cli.configs.rule_messages import RULES, plain_reason, rule_line
from recsys_cli.configs.schema import close_keys, known_keys
from recsys_cli.configs.secrets import Secrets, masked, shown
from recsys_cli.configs.sections import Settings

BUILT_IN = "built-in default"


def problems_of(error: ValidationError, layer: Layer, tree: type[Settings]) -> list[str]:
    """Return each problem as `key = value (origin): reason`."""
    secrets = Secrets.of(setting.value for setting in layer.values() if setting.secret)
    return [secrets.hide(_line(detail, layer, tree)) for detail in error.errors(include_url=False)]


def _line(detail: ErrorDetails, layer: Layer, tree: type[Settings]) -> str:
    path = [str(one) for one in detail["loc"]]
    key = ".".join(path)
    if not key:  # two settings that contradict each other
        return _reason(key, detail, tree)
    setting = setting_at(layer, path)
    if path[0] == RULES and setting is not None:
        return rule_line(detail, setting)
    secret = setting is not None and setting.secret
    value: Any = detail["input"]
    reason = _reason(key, detail, tree)
    if secret:
        reason = masked(reason, value)
    return f"{key} = {shown(value, secret=secret)} ({setting.origin if setting else BUILT_IN}): {reason}"


def _reason(key: str, detail: ErrorDetails, tree: type[Settings]) -> str:
    if detail["type"] == "extra_forbidden":
        if key in GONE:
            return f"no such setting; {GONE[key]}"
        close = close_keys(key, known_keys(tree))
        return "no such setting" + (f"; did you mean {' or '.join(close)}?" if close else "")
    if detail["type"] == "model_type":
        return "must be a table of settings"
    return plain_reason(detail)

"""Messages about invalid rules: each names the rule by number and name, and the line of its file."""

from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from recsys_cli.configs.fields import Section
from recsys_cli.configs.layers import Setting
from recsys_cli.configs.rule_sections import SAME_NAME, Rule
from recsys_cli.configs.secrets import masked, shown

RULES: Final = "rules"
_LONGEST_NAME: Final = 80


def rule_line(detail: ErrorDetails, setting: Setting) -> str:
    """Return a problem of the rules as `rule 2, NAME: key = value (file, line): reason`."""
    _, *place = detail["loc"]
    if detail["type"] == SAME_NAME:
        place = [detail["ctx"]["number"] - 1]
    reason = _reason(detail, place[1:])
    if setting.secret:
        reason = masked(reason, detail["input"])
    if not place or not isinstance(place[0], int):
        return f"{RULES} ({setting.origin}): {reason}"
    number = place[0]
    rule = setting.value[number] if isinstance(setting.value, list) else None
    at = f", line {setting.lines[number]}" if setting.lines else ""
    key = _key(place[1:], rule)
    if key and detail["type"] != "missing":
        key = f"{key} = {shown(detail['input'], secret=setting.secret)}"
    return f"rule {number + 1}{_name(rule)}{f': {key}' if key else ''} ({setting.origin}{at}): {reason}"


def rule_origin(setting: Setting, number: int) -> str:
    """Return where a rule, by its number from 0, is written: the file and the line of its header."""
    if not setting.lines:
        return setting.origin
    return f"{setting.origin.partition(' [')[0]}, line {setting.lines[number]}"


def plain_reason(detail: ErrorDetails) -> str:
    """Return pydantic's reason without its head."""
    reason = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return reason[:1].lower() + reason[1:]


def _name(rule: Any) -> str:
    name = rule.get("name") if isinstance(rule, dict) else None
    if not isinstance(name, str) or not name:
        return ""
    return f", {name[:_LONGEST_NAME]}" if name.isprintable() else f", {name[:_LONGEST_NAME]!a}"


def _key(place: list[int | str], rule: Any) -> str:
    """Return the key inside of a rule; several limits are counted from 1."""
    wrapped = isinstance(rule, dict) and len(place) > 1 and isinstance(rule.get(place[0]), dict)
    if wrapped and isinstance(place[1], int):  # one limit, that is no list
        place = [place[0], *place[2:]]
    return ".".join(name if isinstance(name, str) else str(name + 1) for name in place)


def _reason(detail: ErrorDetails, place: list[int | str]) -> str:
    if detail["type"] == "extra_forbidden":
        names = [one for one in place if isinstance(one, str)]
        close = get_close_matches(names[-1], _keys(names[:-1]), n=3, cutoff=0.6)
        hint = (
            f"; did you mean {' or '.join(close)}?"
            if close
            else f"; there are {', '.join(_keys(names[:-1]))}"
        )
        return f"no such key of a rule{hint}"
    if detail["type"] in ("model_type", "model_attributes_type"):
        return "must be a table"
    if detail["type"] == "tuple_type" and not place:
        return "must be a list of tables: write [[default.rules]] above each"
    if detail["type"] == "missing":
        return "is missing"
    return plain_reason(detail)


def _keys(section: list[str]) -> list[str]:
    """Return the keys of a rule, or of the section of an action."""
    fields: dict[str, FieldInfo] = dict(Rule.model_fields)
    if section:
        fields = _section_in(fields[section[0]].annotation).model_fields
    return [field.alias or name for name, field in fields.items()]


def _section_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _section_in(inner))), None)

"""Rules in the settings: what is read, and one message for each mistake."""

import json
from datetime import date
from pathlib import Path

import pytest

from recsys_cli.configs.loader import LoadedSettings, load_settings
from recsys_cli.configs.toml_files import lines_of_tables
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.utils.errors import SettingsError

_GOOD = """[[default.rules]]
name = "no vodka"
when = "country = 'Germany'"
items = "category = 'vodka'"
from = 2026-11-01
until = "2026-12-24"
block = true

[[default.rules]]
name = "two of a brand"
limit = { by = "brand", at_most = 2 }

[[ default . rules ]]  # the last one
name = "stock"
quota = { at_most_lists = "stock", at_least_share = 1.0 }
"""
_ACTIONS = "add one of block, require, boost, bury, pin, limit, at_least, cooldown, one_of, quota"


def write(workspace: Path, name: str, text: str) -> None:
    (workspace / "settings").mkdir(exist_ok=True)
    (workspace / "settings" / name).write_text(text, encoding="utf-8")


def loaded(workspace: Path, *overrides: str, environment: str | None = None) -> LoadedSettings:
    return load_settings(workspace, environment, overrides, settings_tree())


def problems(workspace: Path, *overrides: str, environment: str | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(workspace, *overrides, environment=environment)
    return caught.value.what.splitlines()[1:]


@pytest.mark.parametrize("name", ["settings.toml", "rules.toml"])
def test_rules_are_read_in_their_order_from_either_file(tmp_path: Path, name: str) -> None:
    write(tmp_path, "settings.toml", "")
    write(tmp_path, name, _GOOD)
    found = loaded(tmp_path)
    first, second, third = found.settings.rules
    assert [rule.action for rule in found.settings.rules] == ["block", "limit", "quota"]
    assert (first.from_, first.until) == (date(2026, 11, 1), date(2026, 12, 24))
    assert [first.holds_on(date(2026, *day)) for day in ((10, 31), (11, 1), (12, 24), (12, 25))] == [
        False,
        True,
        True,
        False,
    ]
    assert second.limit is not None and [(one.by, one.at_most) for one in second.limit] == [("brand", 2)]
    assert third.quota is not None and third.quota.at_most_lists == "stock"
    assert found.origins["rules"] == f"settings/{name} [default]"


def test_rules_are_shown_and_recorded_as_they_were_written(tmp_path: Path) -> None:
    write(tmp_path, "settings.toml", _GOOD)
    found = loaded(tmp_path)
    shown = found.masked_values()["rules"]
    assert json.loads(json.dumps(shown)) == [
        {
            "name": "no vodka",
            "when": "country = 'Germany'",
            "items": "category = 'vodka'",
            "from": "2026-11-01",
            "until": "2026-12-24",
            "block": True,
        },
        {"name": "two of a brand", "limit": [{"by": "brand", "at_most": 2}]},
        {"name": "stock", "quota": {"at_most_lists": "stock", "at_least_share": 1.0}},
    ]
    assert settings_tree().model_validate(found.settings.model_dump()) == found.settings
    again = loaded(tmp_path, f"rules={json.dumps(shown[1:]).replace(':', ' =')}")
    assert again.settings.rules == found.settings.rules[1:]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("", f"has no action: {_ACTIONS}"),
        ("block = true\nitems = 'a = 1'\nboost = 2.0", "has 2 actions, block and boost: make a rule of each"),
        (
            "block = false\nitems = 'a = 1'",
            "block = false does nothing: write block = true or remove the rule",
        ),
        ("block = true", "blocks every item for every user: say which by items or when"),
        ("boost = 2", "boost needs items: which items are meant"),
        ("items = 'a = 1'\nboost = 1.0", ": boost = 1.0 @: should be greater than 1"),
        ("items = 'a = 1'\nbury = 1.0", ": bury = 1.0 @: should be less than 1"),
        ("items = 'a = 1'\nbury = 0", ": bury = 0 @: should be greater than 0"),
        ("at_least = 0", ": at_least = 0 @: should be greater than or equal to 1"),
        ("items = 'a = 1'\nat_least = 1.5", ": at_least = 1.5 @: should be a valid integer"),
        ("limit = { by = 'brand' }", ": limit.at_most @: is missing"),
        (
            "limit = { by = 'brand', at_most = 0 }",
            ": limit.at_most = 0 @: should be greater than or equal to 1",
        ),
        (
            "limit = [{ by = 'a', at_most = 1 }, { by = 'b', at_most = 0 }]",
            ": limit.2.at_most = 0 @: should be greater than or equal to 1",
        ),
        ("limit = { at_most = 2 }", "limit needs by or items: which items are counted together"),
        ("limit = []", ": limit = [] @: value should have at least 1 item after validation, not 0"),
        (
            "items = 'a = 1'\npin = { places = [1], share = 0.5 }",
            ": pin = {…} @: needs either places, such as [1, 3], or share, such as 0.2",
        ),
        ("items = 'a = 1'\npin = { places = [1, 1] }", ": pin = {…} @: names a place twice"),
        (
            "items = 'a = 1'\npin = { places = [0] }",
            ": pin.places.1 = 0 @: should be greater than or equal to 1",
        ),
        ("pin = { places = [1] }", "pin needs items or a campaign: which items are meant"),
        ("cooldown = { times = 3, days = 0 }", ": cooldown.days = 0 @: should be greater than or equal to 1"),
        ("cooldown = 3", ": cooldown = 3 @: must be a table"),
        (
            "cooldown = { time = 3, days = 1, times = 1 }",
            ": cooldown.time = 3 @: no such key of a rule; did you mean times?",
        ),
        ("one_of = ''", ': one_of = "" @: string should have at least 1 character'),
        ("one_of = '*'", ": one_of = \"*\" @: the name '*' stands for several columns"),
        ("quota = { by = 'brand' }", ": quota = {…} @: needs a bound: at_most_lists"),
        (
            "quota = { at_most_lists = -1 }",
            ": quota.at_most_lists = -1 @: must be a whole number from 0 to 2,147,483,647",
        ),
        (
            "quota = { at_most_share = 1.1 }",
            ": quota.at_most_share = 1.1 @: should be less than or equal to 1",
        ),
        (
            "quota = { by = 'brand', at_most_lists = 'stock' }",
            ": quota = {…} @: at_most_lists names a column",
        ),
        (
            "quota = { at_most_share = 0.1, at_least_share = 0.2 }",
            ": quota = {…} @: at_least_share = 0.2 is more than at_most_share = 0.1",
        ),
        (
            "one_of = 'a'\nfrom = 2026-11-02\nuntil = 2026-11-01",
            "until = 2026-11-01 is before from = 2026-11-02: it never holds",
        ),
        ("one_of = 'a'\nfrom = 20261102", ": from = 20261102 @: must be a date such as 2026-11-23"),
        ("one_of = 'a'\nwhen = 'SELECT 1'", ': when = "SELECT 1" @: contains SELECT'),
        ("one_of = 'a'\nitems = \"read_csv('/etc/passwd') = 1\"", "calls read_csv"),
        ("require = ''", ': require = "" @: is empty'),
        ("one_off = 'a'", ': one_off = "a" @: no such key of a rule; did you mean one_of?'),
    ],
)
def test_a_malformed_rule_is_one_problem_that_names_it(tmp_path: Path, rule: str, expected: str) -> None:
    fine = '[[default.rules]]\nname = "fine"\none_of = "a"\n'
    write(tmp_path, "settings.toml", f'{fine}\n[[default.rules]]\nname = "wrong"\n{rule}\n')
    found = problems(tmp_path)
    at = "(settings/settings.toml [default], line 5)"
    if "@" in expected:
        assert len(found) == 1 and found[0].startswith(f"rule 2, wrong{expected.replace('@', at)}")
    else:
        assert len(found) == 1 and found[0].startswith("rule 2, wrong")
        assert at in found[0] and expected in found[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a, b", "a name must not contain a comma: names are listed with commas between them"),
        ("", "a name has 1 to 80 characters, not 0"),
        ("x" * 81, "a name has 1 to 80 characters, not 81"),
        (r"a\u0007", "a name has printable characters alone, and no space at its ends"),
        (" a", "a name has printable characters alone, and no space at its ends"),
    ],
)
def test_a_name_is_short_and_printable(tmp_path: Path, name: str, expected: str) -> None:
    write(tmp_path, "settings.toml", f'[[default.rules]]\nname = "{name}"\none_of = "a"\n')
    (found,) = problems(tmp_path)
    assert found.startswith("rule 1") and ": name = " in found
    assert found.endswith(f"(settings/settings.toml [default], line 1): {expected}")


def test_a_rule_has_a_name_of_its_own(tmp_path: Path) -> None:
    rule = '[[default.rules]]\nname = "same"\none_of = "a"\n'
    write(tmp_path, "settings.toml", rule * 2)
    expected = (
        "rule 2, same (settings/settings.toml [default], line 4): has the name of rule 1: give each a name "
        "of its own"
    )
    assert problems(tmp_path) == [expected]
    write(tmp_path, "settings.toml", "[[default.rules]]\none_of = 'a'\n")
    assert problems(tmp_path) == ["rule 1: name (settings/settings.toml [default], line 1): is missing"]


def test_there_are_64_rules_at_most(tmp_path: Path) -> None:
    rules = "".join(f'[[default.rules]]\nname = "{one}"\none_of = "a"\n' for one in range(65))
    write(tmp_path, "settings.toml", rules)
    assert problems(tmp_path)[0].endswith(": there are 65 rules; 64 are allowed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[default.rules]\nname = 'a'\n", "write [[default.rules]] above each"),
        ("[[rules]]\nname = 'a'\n", "rules in settings/settings.toml is outside of an environment"),
        ("[default]\nrules = [3]\n", "rule 1 (settings/settings.toml [default]): must be a table"),
    ],
)
def test_rules_in_another_form_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    write(tmp_path, "settings.toml", text)
    assert expected in "\n".join(problems(tmp_path))


def _rules(environment: str, name: str) -> str:
    return f'[[{environment}.rules]]\nname = "{name}"\none_of = "a"\n'


@pytest.mark.parametrize(
    ("main", "beside", "environment", "is_refused"),
    [
        ("default", "default", None, True),
        ("default", "demo", "demo", True),
        ("demo", "default", "demo", True),
        ("demo", "default", None, False),
        ("demo", "demo", None, True),
        ("demo", "production", "demo", False),
    ],
)
def test_rules_in_two_files_are_refused_where_one_would_hide_the_other(
    tmp_path: Path, main: str, beside: str, environment: str | None, is_refused: bool
) -> None:
    write(tmp_path, "settings.toml", f"[default]\n{_rules(main, 'one')}")
    write(tmp_path, "rules.toml", _rules(beside, "other"))
    if is_refused:
        expected = (
            f"rules are in settings/settings.toml [{main}] and in settings/rules.toml [{beside}]: "
            "put them all into one of the two"
        )
        assert problems(tmp_path, environment=environment) == [expected]
    else:
        name = "other" if environment is None else "one"
        assert [rule.name for rule in loaded(tmp_path, environment=environment).settings.rules] == [name]


def test_a_local_file_replaces_all_rules_as_it_does_other_lists(tmp_path: Path) -> None:
    write(tmp_path, "settings.toml", _GOOD)
    write(tmp_path, "settings.local.toml", _rules("default", "mine"))
    assert [rule.name for rule in loaded(tmp_path).settings.rules] == ["mine"]


def test_the_file_of_rules_holds_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, "settings.toml", "")
    write(tmp_path, "rules.toml", f"{_GOOD}[default.scoring]\ntop_k = 5\n")
    expected = (
        "scoring in settings/rules.toml [default] is not about rules: put it into settings/settings.toml"
    )
    assert problems(tmp_path) == [expected]


def test_a_broken_file_of_rules_is_named(tmp_path: Path) -> None:
    write(tmp_path, "settings.toml", "")
    write(tmp_path, "rules.toml", "[[default.rules]]\nname = \n")
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path)
    assert caught.value.where.startswith(f"{tmp_path / 'settings/rules.toml'}, line 2")


def test_exploration_and_quotas_exclude_each_other(tmp_path: Path) -> None:
    write(tmp_path, "settings.toml", _GOOD)
    assert problems(tmp_path, "scoring.explore=0.1") == [
        "scoring.explore = 0.1 beside the quota of rule 3, stock: the chance of an explored item would not "
        "be known; set explore = 0 or remove the quota"
    ]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("diversity=1.1", "less than or equal to 1"),
        ("explore=0.6", "less than or equal to 0.5"),
        ("explore_items=(SELECT 1)", "contains SELECT"),
        ("list_columns=['rule', 'rule']", "names a column twice"),
        ("list_columns=['ruler']", "'rule' or 'placed_by'"),
    ],
)
def test_settings_of_variety_are_bounded(tmp_path: Path, setting: str, expected: str) -> None:
    write(tmp_path, "settings.toml", "")
    (found,) = problems(tmp_path, f"scoring.{setting}")
    assert expected in found


def test_credentials_in_rules_are_masked(tmp_path: Path) -> None:
    campaign = "s3://me:hunter22@bucket/c.parquet"
    rule = '[[default.rules]]\nname = "x"\npin = { places = [1], campaign = "%s" }\n'
    write(tmp_path, "settings.toml", rule % campaign)
    found = loaded(tmp_path)
    assert found.settings.rules[0].pin is not None and found.settings.rules[0].pin.campaign == campaign
    assert "hunter22" not in json.dumps(found.masked_values())
    assert "hunter22" not in found.secret_texts().hide(campaign)
    write(tmp_path, "settings.toml", "")
    write(
        tmp_path, ".secrets.toml", '[[default.rules]]\nname = "hunter33"\none_of = "*hunter44*"\nboost = 1\n'
    )
    assert "hunter" not in "\n".join(problems(tmp_path))


def test_lines_are_those_of_the_headers_of_an_environment() -> None:
    text = '[[demo.rules]]\nx = 1\r\n [["Default"."rules"]]\n#[[default.rules]]\n[[default.rules]] # two\n'
    assert lines_of_tables(text, "default", "rules") == (3, 5)

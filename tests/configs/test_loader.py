from pathlib import Path

import pytest

from recsys_cli.configs.loader import load_settings
from recsys_cli.configs.schema import close_keys, known_keys
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.utils.errors import SettingsError


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    write(tmp_path, "settings.toml", "[default.ranker]\ndepth = 3\n[demo.ranker]\ndepth = 4\n")
    return tmp_path


def write(workspace: Path, name: str, text: str) -> None:
    (workspace / "settings").mkdir(exist_ok=True)
    (workspace / "settings" / name).write_text(text, encoding="utf-8")


def refusal(workspace: Path, *overrides: str) -> SettingsError:
    with pytest.raises(SettingsError) as caught:
        load_settings(workspace, None, overrides, settings_tree())
    return caught.value


def test_each_layer_wins_over_the_ones_below(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def depth(environment: str | None, *overrides: str) -> tuple[int, str]:
        loaded = load_settings(workspace, environment, overrides, settings_tree())
        return loaded.settings.ranker.depth, loaded.origins["ranker.depth"]

    assert load_settings(workspace, None, (), settings_tree()).origins["ranker.rsm"] == "built-in default"
    assert depth(None) == (3, "settings/settings.toml [default]")
    assert depth("demo") == (4, "settings/settings.toml [demo]")
    write(workspace, "settings.local.toml", "[default.ranker]\ndepth = 5\n")
    assert depth("demo") == (5, "settings/settings.local.toml [default]")
    write(workspace, "settings.local.toml", "[default.ranker]\ndepth = 5\n[demo.ranker]\ndepth = 6\n")
    assert depth("demo") == (6, "settings/settings.local.toml [demo]")
    write(workspace, ".secrets.toml", "[default.ranker]\ndepth = 7\n")
    assert depth("demo") == (7, "settings/.secrets.toml [default]")
    write(workspace, ".secrets.toml", "[default.ranker]\ndepth = 7\n[demo.ranker]\ndepth = 8\n")
    assert depth("demo") == (8, "settings/.secrets.toml [demo]")
    monkeypatch.setenv("RECSYS_RANKER__DEPTH", "9")
    assert depth("demo") == (9, "RECSYS_RANKER__DEPTH")
    assert depth("demo", "ranker.depth=10") == (10, "--set")
    assert depth("demo", "ranker.depth=10", "RANKER.Depth=11") == (11, "--set")


def test_every_number_has_an_upper_bound(workspace: Path) -> None:
    loaded = load_settings(workspace, None, (), settings_tree())
    huge = {int: "9" * 30, float: "1e300"}
    numbers = {key: huge[type(value)] for key, value in loaded.masked_values().items() if type(value) in huge}
    assert len(numbers) > 50
    error = refusal(workspace, *(f"{key}={value}" for key, value in numbers.items()))
    assert [key for key in numbers if f"\n{key} = " not in error.what] == []


@pytest.mark.parametrize(
    "setting",
    [
        'data.users.features=["*"]',
        'data.items.list_features=["^a.*$"]',
        'data.items.flag_features={genres=["^g$"]}',
        'data.interactions.columns={user_id="*"}',
        'candidates.external.columns={user_id="^u$"}',
    ],
)
def test_names_that_stand_for_several_columns_are_refused(workspace: Path, setting: str) -> None:
    assert "stands for several columns: rename it in the source" in refusal(workspace, setting).what


def test_tables_merge_key_by_key_and_lists_are_replaced(workspace: Path) -> None:
    write(
        workspace,
        "settings.toml",
        "[default.candidates.popular]\nwindows_days = [14]\n[default.features]\nwindows_days = [1, 2, 14]\n"
        '[default.data.users.columns]\nuser_id = "a"\nage = "b"\n'
        '[demo.features]\nwindows_days = [14]\n[demo.data.users.columns]\nage = "c"\n',
    )
    settings = load_settings(workspace, "demo", (), settings_tree()).settings
    assert settings.features.windows_days == [14]
    assert settings.data.users.columns == {"user_id": "a", "age": "c"}


def test_keys_ignore_case_except_those_that_users_choose(workspace: Path) -> None:
    write(
        workspace,
        "settings.toml",
        '[DEFAULT.Data.Users.Columns]\nuser_ID = "UserId"\n'
        '[default.data.items.flag_features]\nGenre = ["Drama"]\n',
    )
    settings = load_settings(workspace, None, ("DATA.items.columns.Title=Name",), settings_tree()).settings
    assert settings.data.users.columns == {"user_ID": "UserId"}
    assert settings.data.items.flag_features == {"Genre": ["Drama"]}
    assert settings.data.items.columns == {"Title": "Name"}


@pytest.mark.parametrize(
    "text", ["007", "2026-11-23", "1_000", "true", "1e3", "@read_file /etc/hostname", " "]
)
def test_text_settings_keep_their_text(workspace: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("RECSYS_DATA__USERS__PATH", text)
    settings = load_settings(workspace, None, (f"data.items.path={text}",), settings_tree()).settings
    assert settings.data.users.path == text
    assert settings.data.items.path == text


def test_other_values_are_read_as_toml(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_FEATURES__WINDOWS_DAYS", "[7, 14, 30]")
    monkeypatch.setenv("RECSYS_DATA__ITEMS__COLUMNS__ITEM_ID", "007")
    overrides = (
        'data.users.columns={user_id = "Uid"}',
        "scoring.filter_viewed=false",
        'data.users.separator=";"',
    )
    settings = load_settings(workspace, None, overrides, settings_tree()).settings
    assert settings.features.windows_days == [7, 14, 30]
    assert settings.data.items.columns == {"item_id": "007"}
    assert settings.data.users.columns == {"user_id": "Uid"}
    assert settings.data.users.separator == ";"
    assert not settings.scoring.filter_viewed


def test_nothing_in_the_settings_folder_is_executed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        workspace,
        "settings.toml",
        '[default.data]\nusers = {path = "@format {env[HOME]}", separator = "@jinja {{ 1 }}"}\n',
    )
    write(workspace, "dynaconf_hooks.py", "raise SystemExit('executed')\n")
    write(workspace, ".env", "RECSYS_RANKER__DEPTH=16\n")
    monkeypatch.setenv("AUTO_CAST_FOR_DYNACONF", "true")
    monkeypatch.setenv("DYNACONF_RANKER__DEPTH", "15")
    settings = load_settings(workspace, None, (), settings_tree()).settings
    assert settings.data.users.path == "@format {env[HOME]}"
    assert settings.data.users.separator == "@jinja {{ 1 }}"
    assert settings.ranker.depth == 6


def test_the_working_directory_and_a_relative_workspace_change_nothing(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.parent)
    loaded = load_settings(Path(workspace.name), None, (), settings_tree())
    assert loaded == load_settings(workspace, None, (), settings_tree())
    assert loaded.workspace == workspace


def test_the_environment_comes_from_the_variable_unless_it_is_named(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSYS_ENV", "demo")
    assert load_settings(workspace, None, (), settings_tree()).environment == "demo"
    assert load_settings(workspace, "default", (), settings_tree()).settings.ranker.depth == 3
    monkeypatch.setenv("RECSYS_ENV", "demmo")
    error = refusal(workspace)
    assert error.what == "no environment is called 'demmo'; there are: default, demo"
    assert (error.where, error.fix) == ("RECSYS_ENV", "did you mean demo?")


def test_all_problems_are_listed_at_once(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(workspace, "settings.toml", 'timezone = "UTC"\n[ranker]\ndepth = 1\n[default.ranker]\ndept = 5\n')
    monkeypatch.setenv("RECSYS_TOP_K", "5")
    error = refusal(
        workspace, "ranker.depth=99", "data.users=3", "features.windows_days=[30, 7]", "timezone=Mars"
    )
    assert error.what.splitlines() == [
        "8 settings are not valid",
        "timezone in settings/settings.toml is outside of an environment: put it under [default]",
        "ranker in settings/settings.toml is outside of an environment: put it under [default]",
        "timezone = \"Mars\" (--set): unknown time zone 'Mars'; use a name such as 'Europe/Berlin' or 'UTC'",
        "data.users = 3 (--set): must be a table of settings",
        "features.windows_days = [30, 7] (--set): must be ascending without repeats",
        "ranker.depth = 99 (--set): should be less than or equal to 16",
        "ranker.dept = 5 (settings/settings.toml [default]): no such setting; did you mean ranker.depth?",
        "top_k = 5 (RECSYS_TOP_K): no such setting; did you mean scoring.top_k?",
    ]


def test_secrets_are_masked_in_problems_and_values(workspace: Path) -> None:
    write(workspace, ".secrets.toml", '[default]\ntimezone = "hunter2"\n[default.output]\nruns = "hunter3"\n')
    error = refusal(workspace, "data.api_token=hunter4")
    assert "hunter" not in error.what
    assert "timezone = ******** (settings/.secrets.toml [default]): unknown time zone ********" in error.what
    assert "data.api_token = ******** (--set): no such setting" in error.what
    write(workspace, ".secrets.toml", '[default.output]\nruns = "hunter3"\n')
    loaded = load_settings(workspace, None, (), settings_tree())
    assert loaded.settings.output.runs == "hunter3"
    assert loaded.masked_values()["output.runs"] == "********"


@pytest.mark.parametrize("name", ["settings.toml", "settings.local.toml", ".secrets.toml"])
def test_broken_toml_names_the_file_and_the_line(workspace: Path, name: str) -> None:
    write(workspace, name, "[default]\n\ntimezone = \n")
    error = refusal(workspace)
    assert error.what.startswith("the file is not valid TOML: ")
    assert error.where.startswith(f"{workspace / 'settings' / name}, line 3")


def test_a_file_that_is_no_text_is_refused(workspace: Path) -> None:
    (workspace / "settings" / "settings.local.toml").write_bytes(b"[default]\ntimezone = '\xff'\n")
    assert refusal(workspace).what == "the file is not UTF-8 text"


def test_a_folder_without_settings_is_no_workspace(tmp_path: Path) -> None:
    error = refusal(tmp_path)
    assert error.what == "no workspace here: settings/settings.toml is missing"
    assert "recsys init" in error.fix


def test_an_override_needs_a_key_and_a_value(workspace: Path) -> None:
    assert refusal(workspace, "ranker.depth").what == "'ranker.depth' is not key=value"
    assert refusal(workspace, "=3").where == "--set"


def test_a_bare_last_name_finds_its_section() -> None:
    found = close_keys("epochs", known_keys(settings_tree()))
    assert found == ["candidates.lightfm.epochs", "warm_start.epochs"]
    assert close_keys("scoring.topk", known_keys(settings_tree()))[0] == "scoring.top_k"
    assert not close_keys("zebra", known_keys(settings_tree()))


def test_expression_that_is_not_allowed_is_refused_when_the_settings_are_loaded(workspace: Path) -> None:
    write(workspace, "settings.toml", '[default.scoring]\nexclude = "item_id IN (SELECT 1)"\n')
    with pytest.raises(SettingsError, match=r"scoring\.exclude = .*contains SELECT"):
        load_settings(workspace, None, (), settings_tree())
    write(workspace, "settings.toml", "[default.data.items]\nfilter = \"read_csv('x') = 1\"\n")
    with pytest.raises(SettingsError, match=r"data\.items\.filter = .*calls read_csv"):
        load_settings(workspace, None, (), settings_tree())

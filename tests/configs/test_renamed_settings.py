"""Settings at their old places: each is read at its new one, or refused with the new one."""

from pathlib import Path
from typing import Any

import pytest

from recsys_cli.configs.dotted_keys import flat
from recsys_cli.configs.loader import LoadedSettings, load_settings
from recsys_cli.configs.renamed_settings import MOVED
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.utils.errors import SettingsError

# old key, a value that is not the default, the keys that have it today
RENAMED = [
    ("candidates.item_knn.num_candidates", 41, ("bm25.num_candidates", "cosine.num_candidates")),
    (
        "candidates.item_knn.recent_candidates",
        42,
        ("bm25_recent.num_candidates", "cosine_recent.num_candidates"),
    ),
    ("candidates.item_knn.neighbours", 43, ("bm25.neighbours", "cosine.neighbours")),
    ("candidates.ease.recent_candidates", 44, ("ease_recent.num_candidates",)),
    ("candidates.index", "ivf", ("scoring.index",)),
    ("candidates.min_index_recall", 0.5, ("scoring.min_index_recall",)),
    ("candidates.lightfm.warm_epochs", 3, ("warm_start.epochs",)),
    ("ranker.warm_iterations", 7, ("warm_start.iterations",)),
]
OLD, VALUE = "ranker.warm_iterations", "warm_start.iterations"


def write(workspace: Path, name: str, text: str) -> None:
    (workspace / "settings").mkdir(exist_ok=True)
    (workspace / "settings" / name).write_text(text, encoding="utf-8")


def loaded(workspace: Path, *overrides: str) -> LoadedSettings:
    if not (workspace / "settings/settings.toml").exists():
        write(workspace, "settings.toml", "")
    return load_settings(workspace, None, overrides, settings_tree())


def values(settings: LoadedSettings) -> dict[str, Any]:
    return flat(settings.settings.model_dump(mode="json"))


def as_toml(key: str, value: object) -> str:
    section, _, name = key.rpartition(".")
    return f"[default.{section}]\n{name} = {value!r}\n"


def test_every_setting_that_has_moved_is_tried() -> None:
    assert {old for old, *_ in RENAMED} == set(MOVED)


@pytest.mark.parametrize(("old", "value", "places"), RENAMED, ids=[old for old, *_ in RENAMED])
@pytest.mark.parametrize("way", ["settings.toml", "settings.local.toml", "RECSYS_*", "--set"])
def test_an_old_key_sets_the_new_ones_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    old: str,
    value: object,
    places: tuple[str, ...],
) -> None:
    before = values(loaded(tmp_path))
    overrides = []
    if way == "--set":
        overrides = [f"{old}={value}"]
    elif way == "RECSYS_*":
        monkeypatch.setenv("RECSYS_" + old.upper().replace(".", "__"), str(value))
    else:
        write(tmp_path, way, as_toml(old, value))
    after = values(loaded(tmp_path, *overrides))
    new = [one if one.startswith(("scoring.", "warm_start.")) else f"candidates.{one}" for one in places]
    assert after == before | dict.fromkeys(new, value) != before


def test_the_origin_names_the_old_key(tmp_path: Path) -> None:
    assert loaded(tmp_path, f"{OLD}=7").origins[VALUE] == f"--set, as {OLD}"


def test_the_new_key_wins_in_its_layer_and_an_upper_layer_wins_by_either_name(tmp_path: Path) -> None:
    write(tmp_path, "settings.toml", as_toml(OLD, 7) + as_toml(VALUE, 8))
    assert loaded(tmp_path).settings.warm_start.iterations == 8
    write(tmp_path, "settings.local.toml", as_toml(OLD, 9))
    assert loaded(tmp_path).settings.warm_start.iterations == 9


def test_a_bad_value_is_refused_with_the_new_key_and_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path, f"{OLD}=-1")
    assert f"{VALUE} = -1 (--set, as {OLD})" in str(refused.value)


@pytest.mark.parametrize("key", ["similarities", "without"])
def test_a_switch_that_is_gone_is_refused_with_what_replaces_it(tmp_path: Path, key: str) -> None:
    write(tmp_path, "settings.toml", as_toml(f"candidates.item_knn.{key}", ["bm25"]))
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path)
    assert "candidates.item_knn" in str(refused.value)
    assert "candidates.cosine.num_candidates = 0" in str(refused.value)

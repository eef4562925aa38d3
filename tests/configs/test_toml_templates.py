"""Settings files as `recsys init` and `recsys tune` write them: TOML that reads back as what was meant."""

import tomllib

import pytest

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.configs.toml_templates import guessed_text, preset_text, settings_text

ODD_TEXTS = ['a "b" c', "back\\slash", "tab\tand\x7f", "строка", "line\nbreak"]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_guessed_columns_read_back_whatever_they_are_called(text: str) -> None:
    data = DataSettings.model_validate(
        {
            "user_id_type": "integer",
            "interactions": {"path": text, "columns": {"user_id": text}},
            "items": {"path": "items.csv", "features": ["price", text]},
        }
    )
    tables = tomllib.loads(guessed_text(data))["default"]["data"]
    assert (tables["user_id_type"], tables["item_id_type"]) == ("integer", "auto")
    assert tables["interactions"] == {"path": text, "columns": {"user_id": text}}
    assert tables["items"] == {"path": "items.csv", "features": ["price", text]}
    assert "users" not in tables


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_a_preset_takes_any_folder(text: str) -> None:
    data = tomllib.loads(preset_text("kion", text))["default"]["data"]
    assert data["users"]["path"] == f"{text}/users.csv"


def test_settings_by_dotted_keys_read_back_below_their_heading() -> None:
    values = {"ranker.depth": 6, "candidates.lightfm.epochs": 20, "ranker.learning_rate": 1e-05}
    text = settings_text(values, heading=["The winner.", "Copy it."])
    assert text.splitlines()[:4] == ["# The winner.", "# Copy it.", "", "[default.ranker]"]
    assert tomllib.loads(text)["default"] == {
        "ranker": {"depth": 6, "learning_rate": 1e-05},
        "candidates": {"lightfm": {"epochs": 20}},
    }

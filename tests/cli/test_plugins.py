"""Sources and features of other packages, found by their entry points in the real program."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.utils.errors import ExitCode

DAY = "2026-03-02"
SOURCE = '''
"""The items that were made available last: nobody needs to have had them."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys_cli.configs.source_sections import SourceSettings
from recsys_cli.models.candidates.definition import SourceDefinition
from recsys_cli.models.candidates.dense_scores import DenseScores


class CheapSettings(SourceSettings):
    most: float = 30.0


@dataclass(frozen=True)
class CheapGenerator:
    scores: np.ndarray
    num_candidates: int
    name: str = "cheap"
    floor_is_last: bool = False

    def score(self, chunk):
        return DenseScores.of(np.tile(self.scores, (len(chunk), 1)), chunk, self.num_candidates)


def fit(task, settings):
    price = task.tables.items["price"].cast(pl.Float32)
    ids = task.tables.items["item_id"]
    return ids, np.where(price <= settings.most, settings.most - price, 0).astype(np.float32)


def bind(day):
    ids, worth = day.fitted
    known = dict(zip(ids.to_list(), worth.tolist()))
    now = np.array([known.get(one, 0.0) for one in day.features.items["item_id"]], dtype=np.float32)
    scores = np.where(day.eligible & (now > 0), now, -np.inf).astype(np.float32)
    return lambda users: CheapGenerator(scores, day.settings.num_candidates)


CHEAP = SourceDefinition(
    name="cheap", summary="cheap items", settings=CheapSettings, bind=bind, fit=fit,
    store=lambda fit: {"ids": fit[0], "worth": fit[1]},
    read=lambda stored: (
        stored.ids("ids", "items", len(stored.array("worth", [np.float32], 1))),
        stored.array("worth", [np.float32], 1),
    ),
)
'''
FEATURES = '''
"""How long a user's name is, an item's price per letter of its title, and whether both end alike."""

import numpy as np
import polars as pl

from recsys_cli.configs.sections import FeatureSettings
from recsys_cli.data_preparation.features.definition import FeatureDefinition


class LetterSettings(FeatureSettings):
    most: int = 30


def user_letters(tables, settings):
    return tables.users.select(user_letters=pl.col("user_id").str.len_chars().clip(0, settings.most))


def item_letters(tables, settings):
    return tables.items.select(item_letters=pl.col("title").str.len_chars().clip(0, settings.most))


def pair_letters(users, items, settings):
    return {"pair_letters": np.abs(users["user_letters"] - items["item_letters"])}


LETTERS = FeatureDefinition(
    name="letters", summary="letters of names", settings=LetterSettings,
    user_columns=user_letters, item_columns=item_letters, pair_columns=pair_letters,
)
'''
Program = Callable[..., subprocess.CompletedProcess[str]]


def install(site: Path, version: str = "1.2") -> None:
    """Put the package where an installer would: modules, and the folder of its metadata."""
    site.mkdir(exist_ok=True)
    (site / "acme_source.py").write_text(SOURCE)
    (site / "acme_features.py").write_text(FEATURES)
    info = site / "acme-1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(
        "[recsys.sources]\ncheap = acme_source:CHEAP\n\n[recsys.features]\nletters = acme_features:LETTERS\n"
    )


@pytest.fixture
def program(workspace: Path, tmp_path: Path) -> Program:
    """Run recsys in the workspace, with the folder `site` among the installed packages where it exists."""

    def run(*args: str, code: int = ExitCode.OK) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, "-m", "recsys_cli", "-C", str(workspace), *args],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


def test_a_source_and_features_of_another_package_are_as_good_as_ours(
    program: Program, workspace: Path, tmp_path: Path
) -> None:
    install(tmp_path / "site")
    program("train", "--date", DAY, "--set", "candidates.cheap.num_candidates=20")
    pointer = json.loads((workspace / "models/promoted.json").read_text())
    folder = workspace / "models" / pointer["history"][-1]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {"cheap_ids.parquet", "cheap_worth.npy"} <= set(manifest["files"])
    assert manifest["stage"]["sources"]["cheap"] == {"num_candidates": 20, "most": 30.0}
    assert {"cheap_rank", "user_letters", "item_letters", "pair_letters"} <= set(
        manifest["ranker"]["columns"]
    )
    assert manifest["plugins"] == [
        {"group": group, "name": name, "distribution": "acme", "version": "1.2"}
        for group, name in (("recsys.sources", "cheap"), ("recsys.features", "letters"))
    ]

    program("score", "--date", DAY, "--force")
    lists = pl.read_parquet(workspace / f"recommendations/date={DAY}/recommendations.parquet")
    assert lists["sources"].str.split(",").list.contains("cheap").any()
    stored = pl.read_parquet(workspace / f"features/date={DAY}/users.parquet")
    assert stored["user_letters"].unique().to_list() == [3.0]
    program("verify", DAY)
    shown = json.loads(program("--json", "explain", "u01", "--date", DAY).stdout)
    text = json.dumps(shown)
    assert '"cheap"' in text and "pair_letters" in text and "item_letters" in text
    left_out = program(
        "--json", "evaluate", "--date", "2026-02-23", "--days", "7", "--without", "cheap", "--without", "ease"
    )
    assert "cheap" not in json.loads(left_out.stdout)["models"]

    (tmp_path / "site" / "acme-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme\nVersion: 1.3\n"
    )
    refused = program("score", "--date", DAY, "--force", code=ExitCode.MODEL)
    assert "cheap of acme 1.2: acme 1.3 is installed" in refused.stderr
    (tmp_path / "site").rename(tmp_path / "elsewhere")
    refused = program("score", "--date", DAY, "--force", code=ExitCode.MODEL)
    assert "letters of acme 1.2: it is not installed" in refused.stderr
    assert "pip install acme==1.2" in refused.stderr


def test_a_model_from_before_a_plug_in_was_installed_scores_as_it_did(
    program: Program, workspace: Path, tmp_path: Path
) -> None:
    file = workspace / f"recommendations/date={DAY}/recommendations.parquet"
    before = pl.read_parquet(file)
    install(tmp_path / "site")
    program("score", "--date", DAY, "--force")
    assert pl.read_parquet(file).equals(before)
    assert program("config", "candidates.cheap").stdout.count("cheap") >= 2


def test_a_plug_in_that_does_not_load_names_its_package(program: Program, tmp_path: Path) -> None:
    install(tmp_path / "site")
    (tmp_path / "site/acme_source.py").write_text("import nothing_of_this_name\n")
    refused = program("config", code=ExitCode.USAGE)
    assert "the plug-in 'cheap' cannot be used" in refused.stderr and "acme 1.2" in refused.stderr
    assert program("--help").stdout


def test_a_plug_in_whose_name_is_a_path_is_refused(program: Program, tmp_path: Path) -> None:
    install(tmp_path / "site")
    info = tmp_path / "site/acme-1.dist-info/entry_points.txt"
    info.write_text("[recsys.sources]\n../../cheap = acme_source:CHEAP\n")
    refused = program("config", code=ExitCode.USAGE)
    assert "the plug-in '../../cheap' cannot be used: its name has more than letters" in refused.stderr

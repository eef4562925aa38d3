import re
import tomllib
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.configs.loader import load_settings
from recsys_cli.configs.toml_templates import preset_text
from recsys_cli.data_preparation.demo_data.generate import DemoShape
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import Tables, read_tables
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.pipelines.init import init_demo, init_generic, init_kion, init_movielens
from recsys_cli.utils.errors import InputError, UsageError

SHAPE = DemoShape(users=60, items=30, days=20, seed=1, events_per_user=8.0)
REPOSITORY = Path(__file__).parents[2]
EVENTS = pl.DataFrame(
    {"user_id": [1, 2], "item_id": ['"a"', "b"], "timestamp": [datetime(2026, 1, 1), datetime(2026, 1, 2)]}
)
KION_INTERACTIONS = """user_id,item_id,last_watch_dt,total_dur,watched_pct
176549,9506,2021-05-11,4250,72.0
699317,1659,2021-05-29,300,100.0
656683,7107,2021-05-09,301,0.0
"""
KION_USERS = "user_id,age,income,sex,kids_flg\n176549,age_25_34,income_60_90,М,1\n5,,,,0\n"
KION_ITEMS = """item_id,content_type,title,title_orig,release_year,genres,countries,for_kids,age_rating,\
studios,directors,actors,description,keywords
9506,film,Поговори с ней,Hable con ella,2002.0,"драмы, зарубежные",Испания,,16.0,,П,"А, Б","И, так",слово
7107,series,Голые перцы,Search Party,2017.0,комедии,"США, Россия",0.0,18.0,,,,,
"""


def tables_of(workspace: Path, day: date) -> Tables:
    settings = load_settings(workspace, None, (), settings_tree()).settings
    return read_tables(settings.data, InputFolder(workspace), day, settings.timezone)


def row(frame: pl.DataFrame, key: str, value: object) -> dict[str, object]:
    return frame.row(by_predicate=pl.col(key) == value, named=True)


def test_the_repository_is_the_demos_workspace() -> None:
    assert (REPOSITORY / "settings/settings.toml").read_text(encoding="utf-8") == preset_text("demo")


def test_demo_is_a_workspace_that_reads(tmp_path: Path) -> None:
    report = init_demo(tmp_path, SHAPE)
    assert (report.data, report.settings_kept, report.day) == ("generated", False, date(2026, 7, 1))
    tables = tables_of(tmp_path, date(2026, 7, 1))
    assert (len(tables.users), len(tables.items)) == (60, 30)
    raw = pl.read_parquet(tmp_path / "data/interactions.parquet")
    assert len(tables.events) == len(raw.filter(pl.col("total_dur") > 300)) < len(raw)
    assert {"age", "income", "sex", "kids_flg"} <= set(tables.users.columns)
    assert {"content_type", "genres", "release_year", "age_rating", "title"} <= set(tables.items.columns)


def test_demo_keeps_settings_and_data_that_are_there(tmp_path: Path) -> None:
    init_demo(tmp_path, SHAPE)
    settings = tmp_path / "settings/settings.toml"
    settings.write_text("[default]\n", encoding="utf-8")
    events = tmp_path / "data/interactions.parquet"
    before = events.stat().st_mtime_ns
    again = init_demo(tmp_path, SHAPE)
    assert (again.data, again.settings_kept) == ("kept", True)
    assert settings.read_text(encoding="utf-8") == "[default]\n"
    assert events.stat().st_mtime_ns == before


def test_demo_of_another_shape_is_generated_anew(tmp_path: Path) -> None:
    init_demo(tmp_path, SHAPE)
    report = init_demo(tmp_path, DemoShape(users=70, items=30, days=20, seed=1))
    assert report.data == "generated"
    assert len(pl.read_parquet(tmp_path / "data/users.parquet")) == 70


def test_demo_never_replaces_other_data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    EVENTS.write_parquet(tmp_path / "data/interactions.parquet")
    with pytest.raises(UsageError, match="did not make"):
        init_demo(tmp_path, SHAPE)
    assert pl.read_parquet(tmp_path / "data/interactions.parquet").equals(EVENTS)
    assert not (tmp_path / "settings").exists()


def test_interrupted_demo_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        init_demo(tmp_path / "w", SHAPE, stop)
    assert not list((tmp_path / "w").iterdir())


@pytest.mark.parametrize("environment", ["default", "demo", "production"])
def test_every_environment_of_the_settings_holds(tmp_path: Path, environment: str) -> None:
    init_demo(tmp_path, SHAPE)
    loaded = load_settings(tmp_path, environment, (), settings_tree())
    assert loaded.settings.ranker.label_windows == (
        2 if environment == "demo" else settings_tree()().ranker.label_windows
    )


def test_the_values_in_comments_are_the_built_in_ones() -> None:
    commented = re.findall(r"^# (\[default\.[a-z.]+\]|[a-z_]+ = .*)$", preset_text("demo"), flags=re.M)
    shown = tomllib.loads("\n".join(commented))["default"]
    built_in = settings_tree()().model_dump()
    assert settings_tree().model_validate(shown).model_dump() == built_in
    assert set(shown) == {"scoring"}


def test_generic_paths_are_relative_inside_the_workspace_and_absolute_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = tmp_path / 'my "work"'
    workspace.mkdir()
    EVENTS.write_parquet(workspace / "events.parquet")
    pl.DataFrame({"user_id": [1, 2], "age": [30, 40]}).write_parquet(tmp_path / "people.parquet")
    monkeypatch.chdir(tmp_path)
    paths = {"interactions": 'my "work"/events.parquet', "users": "people.parquet"}
    report = init_generic(Path('my "work"'), paths)
    assert (report.day, report.data, report.settings_kept) == (date(2026, 1, 3), "none", False)
    data = load_settings(workspace, None, (), settings_tree()).settings.data
    assert data.interactions.path == "events.parquet"
    assert data.users.path == str(tmp_path / "people.parquet")
    assert data.items.path == ""
    assert tables_of(workspace, date(2026, 1, 3)).items["item_id"].to_list() == ['"a"', "b"]


@pytest.mark.parametrize("path", ["events", "events/*.parquet"])
def test_generic_takes_a_folder_or_a_glob(tmp_path: Path, path: str) -> None:
    (tmp_path / "events").mkdir()
    EVENTS.head(1).write_parquet(tmp_path / "events/1.parquet")
    EVENTS.tail(1).write_parquet(tmp_path / "events/2.parquet")
    init_generic(tmp_path, {"interactions": str(tmp_path / path)})
    assert len(tables_of(tmp_path, date(2026, 1, 3)).events) == 2


def test_strange_column_names_survive(tmp_path: Path) -> None:
    strange = 'Customer "ID" \\ é'
    EVENTS.rename({"user_id": strange}).write_parquet(tmp_path / "events.parquet")
    init_generic(tmp_path, {"interactions": str(tmp_path / "events.parquet")}, [("user_id", strange)])
    assert tables_of(tmp_path, date(2026, 1, 3)).users["user_id"].to_list() == [1, 2]


def test_generic_settings_read_numbered_categories_and_the_rest_is_reported(tmp_path: Path) -> None:
    EVENTS.write_parquet(tmp_path / "events.parquet")
    items = {"item_id": ['"a"', "b", "c", "d"], "maker_id": [3, 3, 4, 4], "bio": ["a a", "b b", "c c", "d d"]}
    pl.DataFrame(items).write_parquet(tmp_path / "items.parquet")
    paths = {name: str(tmp_path / f"{name}.parquet") for name in ("events", "items")}
    report = init_generic(tmp_path, {"interactions": paths["events"], "items": paths["items"]})
    settings = load_settings(tmp_path, None, (), settings_tree()).settings.data.items
    assert settings.features == settings.category_features == ["maker_id"]
    known = tables_of(tmp_path, date(2026, 1, 3)).items
    assert known["maker_id"].to_list() == ["3", "3", "4", "4"]
    assert [(one.table, one.column, one.reason) for one in report.unused] == [
        ("items", "bio", "free text: a different value in every row")
    ]


def test_settings_that_differ_are_never_overwritten(tmp_path: Path) -> None:
    EVENTS.write_parquet(tmp_path / "events.parquet")
    paths = {"interactions": str(tmp_path / "events.parquet")}
    assert not init_generic(tmp_path, paths).settings_kept
    assert init_generic(tmp_path, paths).settings_kept
    settings = tmp_path / "settings/settings.toml"
    settings.write_text("[default]\n", encoding="utf-8")
    with pytest.raises(UsageError, match="other settings"):
        init_generic(tmp_path, paths)
    assert settings.read_text(encoding="utf-8") == "[default]\n"


def test_ml_100k(tmp_path: Path) -> None:
    archive = tmp_path / "ml-100k"
    archive.mkdir()
    flags = ["0"] * 19
    flags[5] = flags[16] = "1"
    film = ["1", "Léon (1994)", "01-Jan-1994", "", "http://example.org/?a=b", *flags]
    (archive / "u.data").write_text("1\t1\t5\t893286638\n2\t1\t3\t893286600\n", encoding="latin1")
    (archive / "u.user").write_text("1|24|M|technician|85711\n2|53|F|other|T8H1N\n", encoding="latin1")
    (archive / "u.item").write_text("|".join(film) + "\n", encoding="latin1")
    report = init_movielens(tmp_path, str(archive / "u.data"))
    assert (report.preset, report.day) == ("movielens-100k", date(1998, 4, 23))
    tables = tables_of(tmp_path, date(1998, 4, 23))
    assert len(tables.events) == 2
    user = row(tables.users, "user_id", 2)
    assert (user["age"], user["gender"], user["occupation"]) == (53.0, "F", "other")
    item = row(tables.items, "item_id", 1)
    assert (item["title"], item["genres"]) == ("Léon (1994)", ["Comedy", "Thriller"])


def test_ml_1m(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::1193::5::978300760\n", encoding="latin1")
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n", encoding="latin1")
    (tmp_path / "movies.dat").write_text("1193::Misérables, Les (1995)::Drama|Musical\n", encoding="latin1")
    report = init_movielens(tmp_path, str(tmp_path))
    assert (report.preset, report.day) == ("movielens-1m", date(2001, 1, 1))
    tables = tables_of(tmp_path, date(2001, 1, 1))
    item = row(tables.items, "item_id", 1193)
    assert (item["title"], item["genres"]) == ("Misérables, Les (1995)", ["Drama", "Musical"])
    user = row(tables.users, "user_id", 1)
    assert (user["gender"], user["age"], user["occupation"]) == ("F", 1.0, 10.0)


def test_ml_latest(tmp_path: Path) -> None:
    ratings = "userId,movieId,rating,timestamp\n1,11,4.0,964982703\n2,11,4.5,964982224\n"
    (tmp_path / "ratings.csv").write_text(ratings, encoding="utf-8")
    movies = 'movieId,title,genres\n11,"American President, The (1995)",Comedy|Drama|Romance\n'
    (tmp_path / "movies.csv").write_text(movies, encoding="utf-8")
    report = init_movielens(tmp_path, str(tmp_path))
    assert (report.preset, report.day) == ("movielens-latest", date(2000, 7, 31))
    tables = tables_of(tmp_path, date(2000, 7, 31))
    assert tables.users["user_id"].to_list() == [1, 2]
    item = row(tables.items, "item_id", 11)
    assert (item["title"], item["genres"]) == (
        "American President, The (1995)",
        ["Comedy", "Drama", "Romance"],
    )


def test_kion(tmp_path: Path) -> None:
    for name, text in (("interactions", KION_INTERACTIONS), ("users", KION_USERS), ("items", KION_ITEMS)):
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    report = init_kion(tmp_path, str(tmp_path))
    assert report.day == date(2021, 5, 12), "the newest event that passes the filter"
    tables = tables_of(tmp_path, date(2021, 5, 12))
    assert len(tables.events) == 2
    item = row(tables.items, "item_id", 9506)
    assert (item["title"], item["genres"]) == ("Поговори с ней", ["драмы", "зарубежные"])
    assert row(tables.items, "item_id", 7107)["countries"] == ["США", "Россия"]
    user = row(tables.users, "user_id", 176549)
    assert (user["age"], user["kids_flg"]) == ("age_25_34", 1.0)


def test_a_folder_without_the_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="u.data, u.user, u.item, or ratings.dat"):
        init_movielens(tmp_path, str(tmp_path))
    assert not list(tmp_path.iterdir())

"""`score --changed-since`: who is ranked anew, who keeps a list, and when nobody does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsys_cli.cli.app import main
from recsys_cli.pipelines.scoring import incremental, local_engine
from recsys_cli.utils.errors import ExitCode

BEFORE, DAY = "2026-03-02", "2026-03-03"
ALL_MAY_DIFFER = ("--set", "scoring.max_stale_lists=1")
SINCE = ("score", "--date", DAY, "--changed-since", BEFORE, "--json")


@pytest.fixture
def output(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Run the program and return the object that it shows."""

    def run(*args: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main(["-C", str(workspace), *args]) == ExitCode.OK
        return dict(json.loads(capsys.readouterr().out))

    return run


Told = Callable[..., dict[str, Any]]


def lists(workspace: Path, day: str) -> pl.DataFrame:
    return pl.read_parquet(workspace / f"recommendations/date={day}/recommendations.parquet")


def file(workspace: Path) -> bytes:
    return (workspace / f"recommendations/date={DAY}/recommendations.parquet").read_bytes()


def with_events_between(workspace: Path) -> set[str]:
    """Return the users with an event on the day before, from the source itself."""
    events = pl.read_parquet(workspace / "data/interactions.parquet")
    day = pl.col("timestamp").dt.date().cast(pl.String)
    return set(events.filter(day == BEFORE)["user_id"])


def test_users_to_whom_nothing_happened_keep_their_lists(workspace: Path, output: Told) -> None:
    output("score", "--date", DAY, "--json")
    full, before = lists(workspace, DAY), lists(workspace, BEFORE)
    changed = with_events_between(workspace)
    assert 5 < len(changed) < 55
    facts = output(*ALL_MAY_DIFFER, *SINCE, "--force")
    assert facts["changed_since"]["changed"] == facts["carried"]["ranked"] == len(changed)
    assert facts["carried"]["carried"] == 60 - len(changed) == facts["changed_since"]["sample"]["users"]
    is_changed = pl.col("user_id").is_in(changed)
    expected = pl.concat([full.filter(is_changed), before.filter(~is_changed)]).sort("user_id", "rank")
    assert_frame_equal(lists(workspace, DAY), expected)
    kept = full.filter(~is_changed).group_by("user_id", maintain_order=True).agg("item_id")
    then = before.filter(~is_changed).group_by("user_id", maintain_order=True).agg("item_id")
    differing = sum(
        one != other for one, other in zip(kept["item_id"].to_list(), then["item_id"].to_list(), strict=True)
    )
    assert facts["changed_since"]["sample"]["differing"] == round(differing / len(kept), 4)
    assert main(["-q", "-C", str(workspace), "verify", DAY]) == ExitCode.OK
    assert output(*ALL_MAY_DIFFER, *SINCE)["already_complete"]


def test_too_many_stale_lists_force_a_full_run_of_the_same_bytes(workspace: Path, output: Told) -> None:
    output("score", "--date", DAY, "--json")
    full = file(workspace)
    facts = output(*SINCE, "--force")
    assert facts["changed_since"]["sample"]["differing"] > 0.01
    assert "reused lists differ from a full run's, more than scoring.max_stale_lists = 0.01" in (
        facts["changed_since"]["all_ranked_because"]
    )
    assert "carried" not in facts and file(workspace) == full


def test_features_and_items_that_changed_are_changes(workspace: Path, output: Told) -> None:
    users = pl.read_parquet(workspace / "data/users.parquet")
    older = pl.when(pl.col("user_id") == "u59").then(pl.col("age") + 1).otherwise(pl.col("age"))  # a cold one
    users.with_columns(older).write_parquet(workspace / "data/users.parquet")
    before = lists(workspace, BEFORE)
    item = before["item_id"].mode().sort()[0]
    holders = set(before.filter(pl.col("item_id") == item)["user_id"])
    facts = output(*ALL_MAY_DIFFER, "--set", f"scoring.exclude=item_id = {item}", *SINCE)
    assert facts["changed_since"]["changed"] == len(with_events_between(workspace) | holders | {"u59"})
    assert item not in lists(workspace, DAY)["item_id"]


def test_a_first_event_is_a_change_and_so_is_a_new_user(workspace: Path, output: Told) -> None:
    events = pl.read_parquet(workspace / "data/interactions.parquet")
    late = events.filter(pl.col("timestamp").dt.date().cast(pl.String) == BEFORE)
    first = late.head(2).with_columns(pl.Series("user_id", ["u58", "zz-new"]))  # a cold one, and nobody yet
    pl.concat([events, first]).write_parquet(workspace / "data/interactions.parquet")
    facts = output(*ALL_MAY_DIFFER, *SINCE)
    assert facts["users"] == 61
    assert facts["changed_since"]["changed"] == len(with_events_between(workspace) | {"u58", "zz-new"})


@pytest.mark.parametrize(
    "options", [("--top-k", "7"), ("--set", "scoring.shortlist=200")], ids=["top_k", "shortlist"]
)
def test_other_settings_rank_all_and_say_so(output: Told, options: tuple[str, ...]) -> None:
    name = "top_k" if "--top-k" in options else "shortlist"
    front, back = ((), options) if name == "top_k" else (options, ())
    facts = output(*ALL_MAY_DIFFER, *front, *SINCE, *back)
    assert facts["changed_since"]["all_ranked_because"] == f"the run of {BEFORE} had another {name}"
    assert "carried" not in facts


def test_where_something_happened_to_all_all_are_ranked(workspace: Path, output: Told) -> None:
    users = pl.read_parquet(workspace / "data/users.parquet")
    users.with_columns(pl.col("age") + 1).write_parquet(workspace / "data/users.parquet")
    facts = output(*SINCE)
    assert facts["changed_since"]["changed"] == facts["users"] == 60
    assert facts["changed_since"]["sample"] == {"users": 0, "differing": 0.0, "overlap": 1.0}
    here = lists(workspace, DAY)
    output("score", "--date", DAY, "--force", "--json")
    assert_frame_equal(lists(workspace, DAY), here)


def test_another_model_ranks_all_and_says_so(workspace: Path, output: Told) -> None:
    version = output("--set", "ranker.iterations=20", "train", "--date", BEFORE, "--json")["version"]
    assert main(["-q", "-C", str(workspace), "models", "promote", version, "--force"]) == ExitCode.OK
    facts = output(*ALL_MAY_DIFFER, *SINCE)
    assert facts["changed_since"]["all_ranked_because"] == f"the run of {BEFORE} had another model_version"
    reused = file(workspace)
    output("score", "--date", DAY, "--force", "--json")
    assert file(workspace) == reused


def test_features_that_are_gone_rank_all_and_say_so(workspace: Path, output: Told) -> None:
    (workspace / f"features/date={BEFORE}/users.parquet").unlink()
    facts = output(*ALL_MAY_DIFFER, *SINCE)
    assert facts["changed_since"]["all_ranked_because"] == f"the features of {BEFORE} are gone"


@pytest.mark.parametrize("span", [1, 7, 60])
def test_the_bytes_do_not_depend_on_how_users_are_cut(
    workspace: Path, output: Told, monkeypatch: pytest.MonkeyPatch, span: int
) -> None:
    output(*ALL_MAY_DIFFER, *SINCE)
    whole = file(workspace)
    for module in (incremental, local_engine):
        monkeypatch.setattr(module, "SPAN", span)
    output(*ALL_MAY_DIFFER, *SINCE, "--force")
    assert file(workspace) == whole


def test_explain_says_of_a_kept_list_where_it_comes_from(workspace: Path, output: Told) -> None:
    output(*ALL_MAY_DIFFER, *SINCE)
    kept = sorted(set(lists(workspace, DAY)["user_id"]) - with_events_between(workspace))
    explanations = [json.dumps(output("explain", one, "--date", DAY, "--json")) for one in kept[:10]]
    assert any(f"it may be the list of {BEFORE}: score --changed-since reused" in one for one in explanations)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--changed-since", "2026-02-28"), "nothing is published for 2026-02-28"),
        (("--changed-since", DAY), f"{DAY} is not before {DAY}"),
        (("--changed-since", BEFORE, "--user", "u07"), "chooses the users itself"),
        (("--changed-since", BEFORE, "--plan"), "chooses the users itself"),
        (("--changed-since", "yesterday"), "where: --changed-since"),
    ],
)
def test_what_cannot_be_is_refused(
    workspace: Path, refused: Callable[..., str], options: tuple[str, ...], words: str
) -> None:
    main(["-q", "-C", str(workspace), "features", "--date", DAY])
    assert words in refused(ExitCode.USAGE, "score", "--date", DAY, *options)

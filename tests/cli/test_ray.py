"""Both engines through the real program: the same lists, also where a node is lost."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import gettempdir

import polars as pl
import pytest
from ray.cluster_utils import Cluster

from recsys_cli.cli.app import main
from recsys_cli.pipelines.scoring import ray_engine
from recsys_cli.utils.errors import ExitCode

DAY = "2026-03-02"
SECONDS = 120
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of two nodes with a core each, on this machine."""
    found = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    found.add_node(**NODE)
    yield found
    found.shutdown()


@pytest.fixture
def crowded(workspace: Path) -> Path:
    """The scored workspace with so many users that every worker ranks several ranges."""
    users = pl.read_parquet(workspace / "data/users.parquet")
    crowd = pl.DataFrame({"user_id": [f"new{number}" for number in range(20_000)]})
    pl.concat([users, crowd], how="diagonal").write_parquet(workspace / "data/users.parquet")
    alike = "[default.gates]\nmax_fallback_rows = 1\nmax_top_item_share = 1\n"  # as such a crowd's lists are
    (workspace / "settings/settings.local.toml").write_text(alike)
    return workspace


def lists(workspace: Path) -> bytes:
    return (workspace / f"recommendations/date={DAY}/recommendations.parquet").read_bytes()


def score(workspace: Path, *args: str) -> int:
    return main(["-q", "-C", str(workspace), "score", "--date", DAY, "--force", *args])


def ranking(workspace: Path, cluster: Cluster, chunk_users: int) -> subprocess.Popen[str]:
    """Start a run on the cluster; the smaller its chunks, the longer it takes."""
    command = [sys.executable, "-m", "recsys_cli", "-C", str(workspace), "--json"]
    scored = ["--set", f"scoring.chunk_users={chunk_users}", "score", "--date", DAY, "--force"]
    where = ["--engine", "ray", "--address", cluster.address]
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *scored, *where], stdout=pipe, stderr=pipe, text=True)


def node_folders() -> set[Path]:
    """Return what this machine's nodes have been sent."""
    return {folder for folder in Path(gettempdir()).glob("recsys-cluster-*/*") if folder.is_dir()}


def wait_for_a_part(workspace: Path, run: subprocess.Popen[str]) -> None:
    """Wait until some lists are ranked, and more are to come."""
    deadline = time.monotonic() + SECONDS
    while not list((workspace / f".recommendations.staged/date={DAY}").glob("part-*.json")):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def test_both_engines_write_the_same_bytes(crowded: Path, cluster: Cluster) -> None:
    assert score(crowded) == ExitCode.OK
    here, before = lists(crowded), node_folders()
    assert score(crowded, "--engine", "ray", "--address", cluster.address) == ExitCode.OK
    assert lists(crowded) == here
    (placed,) = node_folders() - before  # once a node, whatever its workers
    users = placed / "features/users.parquet"
    sent = users.read_bytes()
    users.write_bytes(sent[:-1])
    assert score(crowded, "--engine", "ray", "--address", cluster.address) == ExitCode.OK
    assert lists(crowded) == here and users.read_bytes() == sent
    assert score(crowded, "--user", "u07", "--user", "new19999") == ExitCode.OK
    some = lists(crowded)
    assert (
        score(crowded, "--user", "u07", "--user", "new19999", "--engine", "ray", "--address", cluster.address)
        == 0
    )
    assert lists(crowded) == some != here


RULES = """
[[default.rules]]
name = "news not for the old"
when = "age > 50"
items = "genre = 'news'"
block = true
[[default.rules]]
name = "comedy first"
when = "city = 'Oslo'"
items = "genre = 'comedy'"
pin = { places = [1] }
[[default.rules]]
name = "three of a genre"
limit = { by = "genre", at_most = 3 }
[[default.rules]]
name = "rest"
cooldown = { times = 1, days = 7 }
"""


def test_rules_and_what_rests_go_along(crowded: Path, cluster: Cluster) -> None:
    following, cut = "2026-03-03", ("--set", "gates.min_overlap=0", "--set", "scoring.explore=0.1")
    assert score(crowded) == ExitCode.OK
    (crowded / "settings/rules.toml").write_text(RULES)
    before = node_folders()
    found = []
    for engine in ((), ("--engine", "ray", "--address", cluster.address)):
        command = ["-q", "-C", str(crowded), *cut, "score", "--date", following, "--force", *engine]
        assert main(command) == ExitCode.OK
        found.append((crowded / f"recommendations/date={following}/recommendations.parquet").read_bytes())
    assert found[0] == found[1]
    (sent,) = node_folders() - before
    resting = pl.read_parquet(sent / "lists/resting.parquet")
    assert len(resting) and set(resting["rule"]) == {3}  # the rule's number
    shown = pl.read_parquet(crowded / f"recommendations/date={DAY}/recommendations.parquet")
    rows = pl.read_parquet(crowded / f"recommendations/date={following}/recommendations.parquet")
    again = rows.join(shown, on=["user_id", "item_id"]).select("user_id", "item_id")
    events = pl.read_parquet(crowded / "data/interactions.parquet").select("user_id", "item_id")
    assert len(again.join(events, on=["user_id", "item_id"], how="anti")) == 0


QUOTAS = """
[[default.rules]]
name = "two of a genre"
limit = { by = "genre", at_most = 2 }
[[default.rules]]
name = "stock"
quota = { at_most_lists = 3000 }
[[default.rules]]
name = "crime for half"
items = "genre = 'crime'"
quota = { by = "genre", at_most_share = 0.5, at_least_share = 0.2 }
"""


def test_quotas_are_allocated_as_on_one_machine(crowded: Path, cluster: Cluster) -> None:
    (crowded / "settings/rules.toml").write_text(QUOTAS)
    loose = ("--set", "gates.min_full_lists=0", "--set", "gates.min_overlap=0")
    names = ("recommendations.parquet", "quotas.parquet", "quota_changes.parquet")
    found = []
    for engine in ((), ("--engine", "ray", "--address", cluster.address)):
        assert main(["-q", "-C", str(crowded), *loose, "score", "--date", DAY, "--force", *engine]) == 0
        found.append([(crowded / f"recommendations/date={DAY}" / name).read_bytes() for name in names])
    assert found[0] == found[1]
    rows = pl.read_parquet(crowded / f"recommendations/date={DAY}/recommendations.parquet")
    assert rows["item_id"].value_counts()["count"].max() == 3_000


def test_a_run_whose_node_is_lost_ends_with_the_same_lists(crowded: Path, cluster: Cluster) -> None:
    assert score(crowded) == ExitCode.OK
    here = lists(crowded)
    lost = cluster.add_node(**NODE)
    with ranking(crowded, cluster, chunk_users=64) as run:
        wait_for_a_part(crowded, run)
        cluster.remove_node(lost, allow_graceful=False)
        out, output = run.communicate()
    assert run.returncode == ExitCode.OK, output
    assert json.loads(out)["users"] == 20_060  # stdout is for data alone, whatever Ray prints about its nodes
    assert lists(crowded) == here


def test_a_cluster_that_is_away_is_told_and_the_old_lists_stay(refused: Callable[..., str]) -> None:
    away = ("score", "--date", DAY, "--force", "--engine", "ray", "--address", "127.0.0.1:1")
    output = refused(ExitCode.USAGE, *away)
    assert "no Ray cluster answers at 127.0.0.1:1" in output and "ray start --head" in output


def test_what_listens_and_is_no_cluster_is_told_soon(refused: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_engine, "_SECONDS", 1)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        output = refused(
            ExitCode.USAGE, "score", "--date", DAY, "--force", "--engine", "ray", "--address", address
        )
    assert f"no Ray cluster answers at {address}: timed out" in output


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGTERM, ExitCode.TERMINATED, "error: terminated"),
        (signal.SIGINT, ExitCode.INTERRUPTED, "error: interrupted"),
    ],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_stopped_run_says_so_and_either_engine_goes_on(
    crowded: Path, cluster: Cluster, number: int, code: ExitCode, line: str
) -> None:
    assert score(crowded) == ExitCode.OK
    here = lists(crowded)
    with ranking(crowded, cluster, chunk_users=64) as run:
        wait_for_a_part(crowded, run)
        run.send_signal(number)
        out, output = run.communicate()
    assert (run.returncode, out) == (code, ""), output
    assert line in output and "SIGTERM received" not in output
    assert lists(crowded) == here
    assert score(crowded) == ExitCode.OK  # the local engine, behind the lists that the cluster has ranked
    assert lists(crowded) == here


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--address", "auto"), "add --engine ray"),
        (("--engine", "ray", "--plan"), "leave out --engine ray"),
    ],
)
def test_options_that_do_not_go_together(
    refused: Callable[..., str], options: tuple[str, ...], words: str
) -> None:
    assert words in refused(ExitCode.USAGE, "score", "--date", DAY, *options)


def test_without_the_extra_the_engine_is_named_and_all_else_works(workspace: Path) -> None:
    blocked = (
        "import sys; sys.modules['ray'] = sys.modules['s3fs'] = None; from recsys_cli.cli.app import main; "
    )
    run = [sys.executable, "-c", blocked + "sys.exit(main(sys.argv[1:]))", "-C", str(workspace)]
    asked = ["score", "--date", DAY, "--force"]
    output = subprocess.run([*run, *asked, "--engine", "ray"], capture_output=True, text=True, check=False)
    assert output.returncode == ExitCode.USAGE and "pip install 'recsys-cli[ray]'" in output.stderr
    stored = ["--set", "output.models=s3://shop/models", *asked]
    output = subprocess.run([*run, *stored], capture_output=True, text=True, check=False)
    assert output.returncode == ExitCode.USAGE and "pip install 'recsys-cli[s3]'" in output.stderr
    assert subprocess.run([*run, *asked], capture_output=True, check=False).returncode == ExitCode.OK

"""Ranking on a Ray cluster: the local engine's own function over ranges of users, on every node.

Model and features are sent once a node and opened there; ranges of users are sent, their lists come back in
order. Only this module knows of Ray.
"""

import io
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from loguru import logger

from recsys_cli.configs.sections import ScoringSettings
from recsys_cli.data_preparation.features.partition import StoredFeatures
from recsys_cli.models.candidates.definition import EXACT
from recsys_cli.models.postprocessing.list_settings import ListRequest, RestingItems
from recsys_cli.models.versions.bundle import read_bundle
from recsys_cli.pipelines.publication.shown_items import CountedItems, WrittenItems
from recsys_cli.pipelines.scoring.batches import RankedBatch, ranked_batches
from recsys_cli.pipelines.scoring.local_engine import Limits, Ranking, open_ranking
from recsys_cli.pipelines.scoring.ray_node_files import materialise
from recsys_cli.pipelines.workspace.run_record import library_versions
from recsys_cli.utils.errors import OutputError, RecsysError, SettingsError, UsageError, first_line
from recsys_cli.utils.parallel import chunks_of
from recsys_cli.utils.progress import Progress, no_progress
from recsys_cli.utils.stage_timer import StageTimer
from recsys_cli.utils.storage.hashing import sha256_of

Sent = list[Any]  # references to what lies in the cluster, a block each

_AUTO = "auto"
_SECONDS = 10  # that a cluster may take to answer at all
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"  # begins a talk over gRPC, and is answered
_RANGE = 8_192  # users that a task ranks
_IN_FLIGHT = 4  # tasks a core of the cluster that are sent and not yet written, at most
_BLOCK = 64 * 2**20  # bytes of a file that are sent as one
_RESTING = "lists/resting.parquet"  # what cooldowns keep out, among the files of a node

_open: dict[str, Ranking] = {}  # what this worker has open, by the key of its files


@dataclass(frozen=True)
class ClusterJob:
    """What a cluster ranks.

    Attributes:
        key: of all that decides the lists.
        model: the folder of the version.
        address: of the cluster; "auto": the one that this machine belongs to, or that RAY_ADDRESS names.
    """

    key: str
    model: Path
    ranking: Ranking
    scoring: ScoringSettings
    address: str


@dataclass(frozen=True)
class WorkerJob:
    """What a worker needs beside users, to rank them.

    Attributes:
        features: as stored, in a folder of the node that sends the job.
        asked: of the lists behind the ranker; what rests for a user lies in a file of its own.
        files: what lies below `model/`, `features/` and `lists/` of a node's own folder, in blocks; hashes:
            theirs.
    """

    key: str
    features: StoredFeatures
    scoring: ScoringSettings
    limits: Limits
    asked: ListRequest | None
    libraries: Mapping[str, str]
    files: Mapping[str, Sent]
    hashes: Mapping[str, str]


def cluster_batches(
    job: ClusterJob, users: np.ndarray, stages: StageTimer, progress: Progress
) -> Iterator[RankedBatch]:
    """Rank users on a cluster and yield their batches in order; few are under way at a time.

    A task whose worker or node is lost runs again on another.

    Raises: SettingsError where the extra [ray] is not installed, or the workers have other libraries;
        UsageError where no cluster answers; OutputError where it is lost: the next run resumes after what is
        ranked.
    """
    with _connected(job.address) as ray:
        with stages.stage("send to the cluster"):
            sent = _worker_job(ray, job)
        rank = ray.remote(rank_range).options(num_cpus=1, max_retries=-1)
        ranges = enumerate(chunks_of(users, _RANGE))
        tasks = (rank.remote(sent, some, first=number == 0) for number, some in ranges)
        ranked = 0
        waiting: deque[Any] = deque(islice(tasks, _max_tasks_in_flight(ray)))
        while waiting:
            progress(ranked, len(users))
            with stages.stage("rank"):
                batches = ray.get(waiting.popleft())
            waiting.extend(islice(tasks, 1))
            ranked += sum(batch.figures.users for batch in batches)
            yield from batches
        progress(len(users), len(users))


def rank_range(job: WorkerJob, users: np.ndarray, *, first: bool) -> list[RankedBatch]:
    """Rank users on a worker.

    Args:
        first: whether these are the first users of all, on whom an index is tried.

    Raises: SettingsError for other libraries than the job's; CheckFailedError; ModelError; OutputError.
    """
    ranking, settings = _ranking(job), job.scoring
    tried = settings if first else settings.model_copy(update={"index": EXACT})
    return list(ranked_batches(ranking, users, tried, StageTimer(), no_progress))


def _ranking(job: WorkerJob) -> Ranking:
    """Return the model over the day's items, opened once a worker from files that come once a node."""
    if job.key not in _open:
        others = [
            f"{name} {mine}" for name, mine in library_versions().items() if job.libraries[name] != mine
        ]
        if others:
            raise SettingsError(
                f"a worker has other libraries than this machine: {', '.join(others)}",
                where="--engine ray",
                fix="install the same locked packages on every node of the cluster",
            )
        folder = materialise(job.files, job.hashes, _received)
        features = replace(job.features, folder=folder / "features")
        _open.clear()
        model = read_bundle(folder / "model").model
        asked = job.asked
        if _RESTING in job.files and asked is not None:
            asked = _with_resting(asked, WrittenItems(folder / _RESTING))
        _open[job.key] = open_ranking(model, features, job.limits, 1, asked)
    return _open[job.key]


def _received(blocks: Sent) -> Iterator[np.ndarray]:
    import ray

    get: Any = ray.get
    return (get(block) for block in blocks)


def _worker_job(ray: Any, job: ClusterJob) -> WorkerJob:
    """Return the job with its files, which the cluster holds once."""
    stored, limits = job.ranking.features, job.ranking.limits
    asked = None if job.ranking.items.lists is None else job.ranking.items.lists.request
    folders = {"model": job.model, "features": stored.folder}
    paths = {f"{name}/{file.name}": file for name, one in folders.items() for file in sorted(one.iterdir())}
    with TemporaryDirectory(prefix="recsys-") as temporary:
        if asked is not None and isinstance(asked.inputs.resting, CountedItems):
            paths[_RESTING] = asked.inputs.resting.write(Path(temporary) / Path(_RESTING).name).file
            asked = _with_resting(asked, None)
        files = {name: [ray.put(block) for block in _blocks(path)] for name, path in paths.items()}
        hashes = {name: sha256_of(path) for name, path in paths.items()}
    features = replace(stored)  # without what is read already
    return WorkerJob(job.key, features, job.scoring, limits, asked, library_versions(), files, hashes)


def _with_resting(asked: ListRequest, resting: RestingItems | None) -> ListRequest:
    return replace(asked, inputs=replace(asked.inputs, resting=resting))


def _blocks(path: Path) -> Iterator[np.ndarray]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield np.frombuffer(block, dtype=np.uint8)


def _max_tasks_in_flight(ray: Any) -> int:
    """Return how many tasks may be under way at a time."""
    return max(1, int(_IN_FLIGHT * ray.cluster_resources().get("CPU", 1)))


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Connect to a cluster, and turn Ray's exceptions into errors with a fix."""
    if find_spec("ray") is None:
        raise SettingsError(
            "the engine ray needs the extra [ray], which is not installed",
            where="--engine ray",
            fix="pip install 'recsys-cli[ray]'",
        )
    import ray
    from ray.exceptions import RayError, RayTaskError

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _check_address_answers(address)
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError, RuntimeError, RayError) as error:
        raise UsageError(
            f"no Ray cluster answers at {address}: {first_line(error)}",
            where="--address",
            fix="start one with `ray start --head`, or give the address of one that runs",
        ) from None
    finally:
        for number, handler in handlers.items():  # Ray puts its own in their place
            if handler is not None:
                signal.signal(number, handler)
    with redirect_stdout(_ToLog()):
        try:
            yield ray
        except RayTaskError as error:
            if isinstance(error.cause, RecsysError):
                raise error.cause from None
            raise
        except RayError as error:
            raise OutputError(
                f"the cluster was lost: {first_line(error)}",
                where=address,
                fix="run it again: it resumes after the users whose lists are ranked",
            ) from error
        finally:
            ray.shutdown()


class _ToLog(io.TextIOBase):
    """Logs Ray's messages about lost nodes and workers, which Ray would print to stdout among the data."""

    def write(self, text: str, /) -> int:
        """Log the text's first line."""
        if text.strip():
            logger.info("ray: {}", text.strip().splitlines()[0])
        return len(text)


def _check_address_answers(address: str) -> None:
    """Check that something listens at the address: Ray itself would try for minutes.

    Raises: OSError where nobody does.
    """
    named = os.environ.get("RAY_ADDRESS", "") if address == _AUTO else address
    host, _, port = named.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        with socket.create_connection((host, int(port)), timeout=_SECONDS) as talk:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                talk.sendall(_PREFACE)
                if not talk.recv(1):
                    raise ConnectionError("the program at this address is no Ray cluster")

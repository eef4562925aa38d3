"""An S3 store that fails: its answers to a run's requests are errors, resets, cut, old or incomplete."""

import atexit
import json
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family
from tests.torture.checks import spoken
from tests.torture.faulty_store import KINDS, POINTER, Fault, Proxy, faulty_proxy
from tests.torture.lab import DAY, OLD_TOP_K, SCORE, TOP_K, Kit, Lab, in_workspace

_CASES, _QUICK_CASES, _SEED = 300, 4, 21
_LONGEST = 240  # seconds of a run that the store fails
_LISTS = f"lists/date={DAY}"
_FILES = {"recommendations.parquet", "manifest.json", "_SUCCESS"}
_CODES = {
    "check": {ExitCode.OK, ExitCode.CHECK, ExitCode.INPUT, ExitCode.MODEL, ExitCode.OUTPUT},
    "score": {ExitCode.OK, ExitCode.CHECK, ExitCode.INPUT, ExitCode.MODEL, ExitCode.OUTPUT},
    "verify": {ExitCode.OK, ExitCode.CHECK, ExitCode.USAGE, ExitCode.OUTPUT},
    "explain": {ExitCode.OK, ExitCode.USAGE, ExitCode.INPUT, ExitCode.MODEL, ExitCode.OUTPUT},
}
_COMMANDS = {
    "check": ("check", "--date", DAY),
    "score": (*SCORE, "--force"),
    "verify": ("verify", DAY),
    "explain": ("explain", "--date", DAY),
}
_KEY = "20260701T000000-train-000000"  # of the model
_READ = {
    "check": ("data/", "models/"),
    "score": ("data/", "lists/", "models/", "features/"),
    "verify": ("lists/",),
    "explain": ("lists/", "models/", "features/"),
}
_OUTPUT = """
[default.output]
features = "s3://{bucket}/features"
models = "s3://{bucket}/models"
recommendations = "s3://{bucket}/lists"
"""


def store_faults(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield generated faults at the requests of four commands, with copies of what is stored and without."""
    chance = random.Random(_SEED)
    for number in range(_QUICK_CASES if quick else _CASES):
        command = chance.choice(("score", "score", "score", "check", "verify", "explain"))
        fault = _generated(chance, command)
        is_new_machine = fault.kind == "listing" or fault.where == "data/" or chance.random() < 0.5
        yield Case(f"{number}: {command}, {fault}", partial(_met, command, fault, is_new_machine))


def _generated(chance: random.Random, command: str) -> Fault:
    """Return a fault that meets requests of the command."""
    read = _READ[command]
    kinds = [kind for kind in KINDS if kind != "stale" or "lists/" in read]
    kind, after, times = chance.choice(kinds), chance.choice((0, 0, 1, 2)), chance.choice((0, 1, 2))
    if kind == "listing":
        return Fault(kind, "GET", after, times, "list-type")
    if kind == "stale":
        return Fault(kind, "GET", after, times, f"{_LISTS}/{POINTER}")
    if kind == "garbled":  # what has no hash in the store cannot be told from what was delivered
        return Fault(kind, "GET", after, times, chance.choice([one for one in read if one != "data/"]))
    if command == "score" and chance.random() < 0.3:
        return Fault(kind, "PUT", after, times, "lists/")
    return Fault(kind, chance.choice(("GET", "GET", "HEAD")), after, times, chance.choice(("", *read)))


@dataclass
class _Bucket:
    """A worker's server, proxy and workspace, with what both held at first."""

    s3: Any
    proxy: Proxy
    objects: dict[str, bytes]
    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a run finds the proxy by; the store's client tries a request twice."""
        return dict(self.s3.environment) | {
            "AWS_ENDPOINT_URL": self.proxy.address,
            "AWS_MAX_ATTEMPTS": "2",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        }


_BUCKETS: dict[Path, _Bucket] = {}
_MAKING = Lock()
_RUNNING = ExitStack()
atexit.register(_RUNNING.close)


def _bucket_of(kit: Kit) -> _Bucket:
    """Return the worker's bucket, made at its first case: inputs, features, model and old lists lie in it."""
    with _MAKING:
        if kit.scratch not in _BUCKETS:
            _BUCKETS[kit.scratch] = _made(kit)
    bucket = _BUCKETS[kit.scratch]
    bucket.proxy.begin(None)
    bucket.s3.restore(bucket.objects)
    return bucket


def _made(kit: Kit) -> _Bucket:
    s3, proxy = _new_bucket()
    root = kit.scratch / "in a store"
    shutil.copytree(kit.lab.ready, root)
    for file in (root / "data").iterdir():
        s3.write(f"data/{file.name}", file.read_bytes())
    settings = root / "settings/settings.toml"
    settings.write_text(settings.read_text().replace('path = "data/', f'path = "s3://{s3.bucket}/data/'))
    (version,) = [file.parent for file in (root / "models").glob("*/manifest.json")]
    local = root / "settings/settings.local.toml"
    local.write_text(local.read_text() + _OUTPUT.format(bucket=s3.bucket))
    bucket = _Bucket(s3, proxy, {}, root)
    _upload_model(bucket, version)
    for name in ("data", "features", "models", "recommendations"):
        shutil.rmtree(root / name)
    for top_k in (OLD_TOP_K - 1, OLD_TOP_K):  # the pointer to the first lists is the stale one
        _run(kit, bucket, root, *SCORE, "--top-k", str(top_k), "--force")
        bucket.proxy.stale.setdefault(f"/{s3.bucket}/{_LISTS}/{POINTER}", s3.read(f"{_LISTS}/{POINTER}"))
    shutil.rmtree(root / "runs")
    bucket.objects.update({key: s3.read(key) for key in s3.keys()})
    return bucket


def _upload_model(bucket: _Bucket, version: Path) -> None:
    """Write a model as `train` publishes it in a store, and the pointer that promotes it."""
    from recsys_cli.utils.storage.json_files import read_sealed_json, sealed

    files = {}
    for file in sorted(version.iterdir()):
        held = file.read_bytes()
        bucket.s3.write(f"models/{version.name}/{_KEY}/{file.name}", held)
        files[file.name] = {"sha256": sha256(held).hexdigest(), "bytes": len(held)}
    pointer = {"schema_version": 1, "key": _KEY, "files": files}
    bucket.s3.write(f"models/{version.name}/{POINTER}", sealed(pointer))
    promoted = read_sealed_json(version.parent / "promoted.json")
    bucket.s3.write("models/promoted.json", sealed(promoted))


@cache
def _server() -> Any:
    """Start the server of all workers: all of a process share their objects."""
    from tests.stores import s3_server

    return _RUNNING.enter_context(s3_server())


def _new_bucket() -> tuple[Any, Proxy]:
    """Return an empty bucket and a proxy to it; both live as long as the harness."""
    server = _server()
    own = replace(server, bucket=f"{server.bucket}-{len(_BUCKETS)}")
    own.client.create_bucket(Bucket=own.bucket)
    return own, _RUNNING.enter_context(faulty_proxy(own.address))


def _run(kit: Kit, bucket: _Bucket, root: Path, *args: str) -> None:
    outcome = kit.forked.run("-q", *in_workspace(root, *args), env=bucket.environment)
    assert outcome.code == ExitCode.OK, outcome


def _met(command: str, fault: Fault, is_new_machine: bool, kit: Kit) -> list[str]:
    """Run a command that the fault meets, look at the bucket, and run `score` again without it."""
    bucket = _bucket_of(kit)
    problems: list[str] = []
    for met in (fault, replace(fault, after=0)):  # the second where the run makes fewer requests than pass
        root = kit.workspace(bucket.root)
        if is_new_machine:
            shutil.rmtree(root / ".remote", ignore_errors=True)
        problems += _run_with(met, command, root, bucket, kit)
        if bucket.proxy.met:
            break
    if not bucket.proxy.met:
        problems.append("the fault has met no request")
    bucket.proxy.begin(None)
    problems += _published(bucket)
    if command == "score":  # the others write nothing that another run could have to repair
        problems += _recovered(kit, bucket, root)
    return problems


def _run_with(fault: Fault, command: str, root: Path, bucket: _Bucket, kit: Kit) -> list[str]:
    bucket.proxy.begin(fault)
    started = time.monotonic()
    outcome = kit.forked.run(*in_workspace(root, *_COMMANDS[command]), env=bucket.environment)
    waits = time.monotonic() - started > _LONGEST
    return [*spoken(outcome, _CODES[command]), *(["it waits for minutes"] if waits else [])]


def _published(bucket: _Bucket) -> list[str]:
    """Return what is wrong with the lists that a reader of the bucket finds."""
    old = json.loads(bucket.objects[f"{_LISTS}/{POINTER}"])
    held = bucket.s3.keys(_LISTS)
    if f"{_LISTS}/{POINTER}" not in held:
        return ["the pointer to the lists is gone"]
    pointer = json.loads(bucket.s3.read(f"{_LISTS}/{POINTER}"))
    if set(pointer["files"]) != _FILES:
        return ["the pointer names other files than lists have"]
    problems = []
    for one in (old, pointer):
        for name, facts in one["files"].items():
            key = f"{_LISTS}/{one['key']}/{name}"
            if key not in held:
                problems.append(f"{name} of the lists is gone")
            elif sha256(bucket.s3.read(key)).hexdigest() != facts["sha256"]:
                problems.append(f"{name} of the lists is not what its pointer says")
    return problems


def _recovered(kit: Kit, bucket: _Bucket, root: Path) -> list[str]:
    """Run `score` without a fault; return what is wrong with its lists, or left behind by either run."""
    args = in_workspace(root, *SCORE, "--force")
    problems = [f"next run: {one}" for one in spoken(kit.forked.run(*args, env=bucket.environment), {0})]
    pointer = json.loads(bucket.s3.read(f"{_LISTS}/{POINTER}"))
    lists = bucket.s3.read(f"{_LISTS}/{pointer['key']}/recommendations.parquet")
    if lists != kit.lab.new:
        problems.append(f"next run: its lists are not those of a clean run of {TOP_K} items a user")
    stray = [
        path for path in root.rglob("*") if path.name.endswith((".part", ".old")) or ".staged" in path.name
    ]
    empty = [path for path in stray if path.is_file() or any(one.is_file() for one in path.rglob("*"))]
    problems += sorted({f"next run: it leaves a file in {path.parent.name}" for path in empty})
    return problems


def _obstacle() -> str:
    missing = [name for name in ("moto", "s3fs", "flask") if find_spec(name) is None]
    return f"{', '.join(missing)} is not installed" if missing else ""


FAMILIES = (
    Family(
        "store-faults",
        "S3 answers with 500s, resets, cut bodies, wrong ETags, old pointers, partial listings",
        "a documented exit code in bounded time; old or new lists; the next run repairs",
        store_faults,
        obstacle=_obstacle,
        waits=True,
    ),
)

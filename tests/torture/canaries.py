"""A canary secret, in .secrets.toml and the environment, is in no output, nor after a crash with -vv."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family, some
from tests.torture.lab import DAY, SCORE, Kit, Lab, in_workspace
from tests.torture.program import Outcome

_SECRET, _TOKEN = "c4n4ry-in-a-file", "c4n4ry-in-the-environment"
_ENVIRONMENT = {"AWS_SECRET_ACCESS_KEY": _TOKEN, "DATABASE_URL": f"postgres://me:{_TOKEN}@db/shop"}
_SETTINGS = f"""[default.scoring]
exclude = "title = '{_SECRET}'"
"""
_COMMANDS = {
    "check": ("check", "--date", DAY),
    "features": ("features", "--date", DAY),
    "train": ("train", "--date", DAY, "--no-promote"),
    "score": SCORE,
    "score --json": (*SCORE, "--json"),
    "score --plan": (*SCORE, "--plan"),
    "explain": ("explain", "--date", DAY),
    "models list": ("models", "list", "--json"),
    "models show": ("models", "show"),
    "config": ("config",),
    "config --json": ("config", "--json"),
}
_CRASHES = (
    "recsys_cli.pipelines.scoring.job:open_bundle",
    "recsys_cli.pipelines.scoring.job:open_fitting_features",
    "recsys_cli.pipelines.score:check_unchanged",
    "recsys_cli.pipelines.score:publish",
)


def secrets(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield commands, crashes in each of a run's steps, and settings that are refused."""
    cases = [Case(f"{name} -vv", partial(_command, arguments)) for name, arguments in _COMMANDS.items()]
    cases += [Case(f"a crash in {where}", partial(_crash, where)) for where in _CRASHES]
    cases += [
        Case("an unknown key in .secrets.toml", partial(_refused, f'[default]\nnobody = "{_SECRET}"\n', {})),
        Case("a secret of the wrong type", partial(_refused, f'[default.ranker]\ndepth = "{_SECRET}"\n', {})),
        Case("no TOML", partial(_refused, f'[default\nkey = "{_SECRET}"\n', {})),
        Case("an unknown secret in a variable", partial(_refused, "", {"RECSYS_API_TOKEN": _TOKEN})),
        Case("an unknown password in a section", partial(_refused, "", {"RECSYS_DATA__PASSWORD": _TOKEN})),
    ]
    yield from some(cases, quick, 2)


def _command(arguments: tuple[str, ...], kit: Kit) -> list[str]:
    workspace = _with_secrets(kit, _SETTINGS)
    return _found(workspace, kit.forked.run("-vv", *in_workspace(workspace, *arguments), env=_ENVIRONMENT))


def _crash(where: str, kit: Kit) -> list[str]:
    workspace = _with_secrets(kit, _SETTINGS)
    outcome = kit.forked.run("-vv", *in_workspace(workspace, *SCORE), env=_ENVIRONMENT, crash=where)
    problems = [] if outcome.code == ExitCode.BUG else [f"exit code {outcome.code}, not {ExitCode.BUG}"]
    return problems + _found(workspace, outcome)


def _refused(settings: str, env: dict[str, str], kit: Kit) -> list[str]:
    workspace = _with_secrets(kit, settings)
    outcome = kit.forked.run("-vv", *in_workspace(workspace, *SCORE), env=_ENVIRONMENT | env)
    problems = [] if outcome.code == ExitCode.USAGE else [f"exit code {outcome.code}, not {ExitCode.USAGE}"]
    return problems + _found(workspace, outcome)


def _with_secrets(kit: Kit, settings: str) -> Path:
    workspace = kit.workspace()
    (workspace / "settings/.secrets.toml").write_text(settings)
    return workspace


def _found(workspace: Path, outcome: Outcome) -> list[str]:
    """Return where a canary is seen."""
    canaries = {"of the file": _SECRET, "of the environment": _TOKEN}
    texts = {"stdout": outcome.out.encode(), "stderr": outcome.err.encode()}
    for path in workspace.rglob("*"):
        if path.is_file() and path.name != ".secrets.toml":
            texts[path.name] = path.read_bytes()
    return [
        f"the secret {whose} is in {name}"
        for whose, secret in canaries.items()
        for name, text in texts.items()
        if secret.encode() in text
    ]


FAMILIES = (
    Family(
        "secrets",
        "a canary in .secrets.toml and the environment; crashes with -vv",
        "in no output, log, record or manifest",
        secrets,
    ),
)

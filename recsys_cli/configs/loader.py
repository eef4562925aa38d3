"""Load the typed settings from a workspace's files, the environment and the command line.

Weakest first: built-in default, settings.toml, rules.toml, settings.local.toml, .secrets.toml, RECSYS_*
variables, --set. Within a file the [default] tables come before those of the chosen environment.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from recsys_cli.configs.dotted_keys import flat, leaves
from recsys_cli.configs.error_messages import BUILT_IN, problems_of
from recsys_cli.configs.layers import Layer, environment_layer, nested, overlay, override_layer
from recsys_cli.configs.renamed_settings import with_new_names
from recsys_cli.configs.rule_messages import RULES, rule_origin
from recsys_cli.configs.secrets import Secrets, is_secret_name, texts_in
from recsys_cli.configs.sections import Settings
from recsys_cli.configs.toml_files import DEFAULT, SECRETS_FILE, Document, read_documents, rules_in_two_files
from recsys_cli.utils.credentials import MASK, secrets_in
from recsys_cli.utils.errors import SettingsError
from recsys_cli.utils.storage.uris import drive_id, is_uri
from recsys_cli.utils.storage.uris import shown as shown_uri


@dataclass(frozen=True)
class LoadedSettings:
    """Validated settings, with the origin of each value by its dotted key."""

    workspace: Path
    environment: str
    settings: Settings
    origins: dict[str, str]
    secrets: frozenset[str]

    def masked_values(self) -> dict[str, Any]:
        """Return every setting by its dotted key, to show and record: secrets masked."""
        values = self._values().items()
        return {key: MASK if key in self.secrets else _shown(key, value) for key, value in values}

    def secret_texts(self) -> Secrets:
        """Return the texts that .secrets.toml sets, those of secret keys, and credentials in addresses."""
        values = self._values()
        secret = [value for key, value in values.items() if self._is_secret(key)]
        texts = [(key, text) for key, value in values.items() for text in texts_in(value)]
        addresses = [text for key, text in texts if _is_address(key, text)]
        return Secrets.of([*secret, *(one for address in addresses for one in secrets_in(address))])

    def _is_secret(self, key: str) -> bool:
        is_set = self.origins[key] != BUILT_IN
        return self.origins[key].startswith(SECRETS_FILE) or (is_set and key in self.secrets)

    def _values(self) -> dict[str, Any]:
        return flat(self.settings.model_dump(mode="json"))


def _is_address(key: str, value: Any) -> bool:
    """Return whether a value may be an address with credentials; a store's option may lack the scheme."""
    is_one = isinstance(value, str) and (is_uri(value) or key.startswith("storage."))
    return is_one and drive_id(value) is None  # the query of a share link is the file's id


def _shown(key: str, value: Any) -> Any:
    """Return the value; an address without its password and its query, which may be a signature."""
    if isinstance(value, list):
        return [_shown(key, one) for one in value]
    if isinstance(value, dict):
        return {name: _shown(key, one) for name, one in value.items()}
    if not _is_address(key, value):
        return shown_uri(value) if isinstance(value, str) and is_uri(value) else value
    text = shown_uri(value)
    for secret in sorted(secrets_in(value), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def load_settings(
    workspace: Path, environment: str | None, overrides: Sequence[str], tree: type[Settings]
) -> LoadedSettings:
    """Layer and validate the settings of `workspace`.

    Args:
        workspace: the folder that holds settings/settings.toml.
        environment: a table of the files; None: RECSYS_ENV, else the [default] tables alone.
        overrides: key=value pairs with dotted keys, the strongest layer.
        tree: the class of the settings with the sections of all sources and features.

    Raises: SettingsError, with all problems at once if the files could be read.
    """
    root = Path(os.path.abspath(workspace))
    documents = read_documents(root)
    name = _chosen(environment, documents, root)
    layer: Layer = {}
    for upper in (
        *(document.layer(name, tree) for document in documents),
        environment_layer(os.environ, tree),
        override_layer(overrides, tree),
    ):
        layer = overlay(layer, with_new_names(upper))
    misplaced = [problem for document in documents for problem in document.misplaced_keys()]
    misplaced += rules_in_two_files(documents, name)
    settings = _validated(layer, misplaced, root, tree)
    return _with_origins(root, name, settings, layer)


def _chosen(asked: str | None, documents: Sequence[Document], root: Path) -> str:
    name = (asked or os.environ.get("RECSYS_ENV") or DEFAULT).lower()
    known = sorted({DEFAULT, *(one for document in documents for one in document.environments())})
    if name in known:
        return name
    close = get_close_matches(name, known, n=1)
    raise SettingsError(
        f"no environment is called {name!r}; there are: {', '.join(known)}",
        where="--env" if asked else "RECSYS_ENV",
        fix=(
            f"did you mean {close[0]}?"
            if close
            else f"choose one of these, or add [{name}] in {root / 'settings'}"
        ),
    )


def _validated(layer: Layer, misplaced: Sequence[str], root: Path, tree: type[Settings]) -> Settings:
    problems = list(misplaced)
    try:
        settings = tree.model_validate(nested(layer))
    except ValidationError as error:
        problems += problems_of(error, layer, tree)
    else:
        if not problems:
            return _with_rule_origins(settings, layer)
    count = "1 setting is" if len(problems) == 1 else f"{len(problems)} settings are"
    raise SettingsError(
        "\n".join([f"{count} not valid", *problems]),
        where=str(root / "settings"),
        fix="correct or remove these keys in the place given in brackets",
    )


def _with_rule_origins(settings: Settings, layer: Layer) -> Settings:
    """Return the settings, in which each rule has the file and line where it is written."""
    setting = layer.get((RULES,))
    if setting is None:
        return settings
    rules = [rule.written_in(rule_origin(setting, number)) for number, rule in enumerate(settings.rules)]
    return settings.model_copy(update={RULES: tuple(rules)})


def _with_origins(root: Path, environment: str, settings: Settings, layer: Layer) -> LoadedSettings:
    origins: dict[str, str] = {}
    secrets: set[str] = set()
    for path, _ in leaves(settings.model_dump(mode="json")):
        key = ".".join(path)
        setting = layer.get(path)
        origins[key] = setting.origin if setting else BUILT_IN
        if setting.secret if setting else is_secret_name(path[-1]):
            secrets.add(key)
    return LoadedSettings(root, environment, settings, origins, frozenset(secrets))

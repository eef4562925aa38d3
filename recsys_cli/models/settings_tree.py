"""The class of a workspace's settings, with the sections of all sources and features that are installed."""

from functools import cache

from recsys_cli.configs.composition import compose_settings
from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.features.definition import feature_definitions
from recsys_cli.models.candidates.registry import sources


@cache
def settings_tree() -> type[Settings]:
    """Return the class of the settings.

    Raises: SettingsError for a plug-in that cannot be loaded.
    """
    features = {name: one.settings for name, one in feature_definitions().items()}
    return compose_settings({name: one.settings for name, one in sources().items()}, features)

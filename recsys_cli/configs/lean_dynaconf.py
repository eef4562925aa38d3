"""What is used of Dynaconf, without the web frameworks that it serves."""

from recsys_cli.utils.absent import absent

with absent("flask", "jinja2"):
    from dynaconf import Dynaconf
    from dynaconf.constants import TOML_EXTENSIONS
    from dynaconf.loaders.base import BaseLoader
    from dynaconf.utils.parse_conf import parse_with_toml
    from dynaconf.vendor import tomllib

__all__ = ["TOML_EXTENSIONS", "BaseLoader", "Dynaconf", "parse_with_toml", "tomllib"]

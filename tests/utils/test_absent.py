"""Packages that seem not to be installed."""

import importlib
import sys

import pytest

from recsys_cli.utils.absent import absent


@pytest.mark.parametrize("loaded", [False, True])
def test_a_package_is_away_within_and_as_it_was_after(loaded: bool) -> None:
    sys.modules.pop("colorsys", None)
    before = importlib.import_module("colorsys") if loaded else None
    with pytest.raises(KeyError, match="after all"), absent("colorsys"):
        with pytest.raises(ImportError):
            importlib.import_module("colorsys")
        raise KeyError("after all")
    assert sys.modules.get("colorsys") is before
    assert importlib.import_module("colorsys").rgb_to_hls

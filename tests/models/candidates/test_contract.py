"""Every source of this package keeps what `recsys_cli.testing` asks of those of others."""

from importlib import import_module
from pathlib import Path

import pytest

import recsys_cli.models.candidates.sources as folder
from recsys_cli.models.candidates.registry import built_in_sources, source_table, sources
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.testing import check_source

LEARNT = {"lightfm": {"epochs": 2, "no_components": 8}}
HELPERS = {
    "learnt_similarity",
    "lightfm_model",
    "lightfm_state",
    "lightfm_training",
    "similarity",
    "vector_index",
}


@pytest.mark.parametrize("name", [one.name for one in built_in_sources() if one.name != "external"])
def test_a_source_keeps_its_promises(name: str) -> None:
    definition = sources()[name]
    settings = definition.settings.model_validate({"num_candidates": 20} | LEARNT.get(name, {}))
    check_source(
        definition,
        settings=settings,
        filter_viewed=name != "history",
        fitted=sources()[definition.fit_section],
    )


def test_a_source_is_one_file_and_one_line_of_the_registry() -> None:
    files = {path.stem for path in Path(folder.__path__[0]).glob("*.py")} - {"__init__"} - HELPERS
    listed = [one.name for one in built_in_sources()]
    found = [one.name for file in files for one in import_module(f"{folder.__name__}.{file}").SOURCES]
    assert sorted(found) == sorted(listed) and len(set(listed)) == len(listed)
    root = Path(folder.__path__[0]).parents[2]
    for path in root.rglob("*.py"):
        assert path.stem in {*files, *HELPERS, "older_manifests"} or '"bm25' not in path.read_text(), path


def test_the_settings_have_a_section_for_each_source_in_the_registrys_order() -> None:
    sections = settings_tree()().candidates.sections()
    assert list(sections) == list(sources())
    assert all(isinstance(section, sources()[name].settings) for name, section in sections.items())


def test_the_guides_table_is_that_of_the_registry() -> None:
    guide = Path(folder.__path__[0]).parents[2] / "guide" / "sources.md"
    assert "\n".join(source_table()) in guide.read_text(encoding="utf-8")

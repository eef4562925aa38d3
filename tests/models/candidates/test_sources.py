"""Content, own history and popularity, by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse

from recsys_cli.configs.sections import FeaturesSettings
from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.protocol import CandidateGenerator, Pairs, UserChunk
from recsys_cli.models.candidates.sources.content import ContentSettings, content_weights, item_vectors
from recsys_cli.models.candidates.sources.history import HistorySettings, history_generator
from recsys_cli.models.candidates.sources.popular import popular_lists
from recsys_cli.models.candidates.sources.segment import SegmentSettings, segment_lists
from recsys_cli.models.candidates.stage import fit_candidate_stage
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.models.two_stage import open_day
from recsys_cli.utils.errors import InputError, SettingsError

Maker = Callable[..., Tables]


def lists_of(generator: CandidateGenerator, users: int, items: int) -> list[list[int]]:
    nothing = sparse.csr_matrix((users, items), dtype=np.float32)
    raised = generator.score(UserChunk(np.arange(users, dtype=np.uint32), nothing)).lists
    return [[item for item in own if item >= 0] for own in raised.tolist()]


def test_content_finds_a_new_item_by_its_words(make_tables: Maker) -> None:
    """Nobody has had item 3; it shares a rare word with item 0 and a genre with item 1."""
    tables = make_tables(
        [(0, 0, 2.0), (1, 1, 2.0), (2, 2, 2.0)],
        titles=["Red Lamp", "Blue Chair", "Green Table", "Lamp, small", "Sofa"],
        cities=[None] * 3,
        genres=[["light"], ["wood"], ["oak"], ["wood"], ["soft"]],
    )
    settings = settings_tree().model_validate(
        {
            "candidates": {
                "content": {"max_item_share": 0.9},
                "lightfm": {"num_candidates": 0},
                **{
                    f"{name}{end}": {"num_candidates": 0}
                    for name in ("bm25", "cosine")
                    for end in ("", "_recent")
                },
            }
        }
    )
    features = build_features(tables, settings.features)
    generators = open_day(fit_candidate_stage(tables, settings, 1), features, 1).generators
    (content,) = (one for one in generators if one.name == "content")

    assert lists_of(content, 3, 5) == [[0, 3], [1, 3], []]  # no word of item 2 stands with another


def test_words_weigh_by_rarity_and_common_ones_say_nothing(make_tables: Maker) -> None:
    titles = ["the red lamp", "the red chair", "the lamp", "the sofa"]
    tables = make_tables([(0, 0, 1.0)], titles=titles, cities=[None])
    features = build_features(tables, FeaturesSettings())

    vectors = item_vectors(features, max_item_share=0.5).toarray()

    half = np.sqrt(0.5)  # lamp and red stand with two items of four each: the same weight
    assert [row[row > 0].tolist() for row in vectors] == [pytest.approx([half, half]), [1.0], [1.0], []]
    weights = content_weights(features, ContentSettings(max_item_share=0.5), threads=1)
    assert weights is not None
    np.testing.assert_allclose(
        weights.weights.toarray(),
        [[1, half, half, 0], [half, 1, 0, 0], [half, 0, 1, 0], [0, 0, 0, 0]],
        rtol=1e-6,
    )
    assert content_weights(features, ContentSettings(max_item_share=0.1), threads=1) is not None
    unlike = make_tables([(0, 0, 1.0)], titles=["one", "two"], cities=[None])
    assert content_weights(build_features(unlike, FeaturesSettings()), ContentSettings(), 1) is None


def test_history_goes_by_days_of_purchase_then_by_the_last_of_them(make_tables: Maker) -> None:
    events = [
        (0, 0, 9.0),
        (0, 0, 8.9),  # the same day again
        (0, 1, 20.0),
        (0, 1, 5.0),
        (0, 2, 1.0),
        (0, 3, 1.0),  # gone since
        (1, 2, 3.0),
    ]
    tables = make_tables(events, titles=["a", "b", "c", "d"], cities=[None] * 3, ended=[3])
    features = build_features(tables, FeaturesSettings())

    assert lists_of(history_generator(features, HistorySettings()), 3, 4) == [[1, 2, 0], [2], []]
    assert lists_of(history_generator(features, HistorySettings(num_candidates=1)), 3, 4) == [[1], [2], []]


def test_popularity_counts_the_days_of_its_window(make_tables: Maker) -> None:
    events = [(0, 0, 3.0), (0, 1, 10.0), (1, 1, 10.0), (0, 2, 25.0), (1, 2, 25.0), (2, 2, 25.0), (2, 3, 1.0)]
    tables = make_tables(events, titles=["a", "b", "c", "d"], cities=[None] * 3, ended=[3])
    features = build_features(tables, FeaturesSettings())

    generators = [popular_lists(features, days, 100).of_users(features) for days in (7, 14, 30)]

    assert {one.name: lists_of(one, 1, 4) for one in generators} == {
        "popular_7d": [[0, 2, 1]],  # equal in the window: by all events
        "popular_14d": [[1, 0, 2]],
        "popular_30d": [[2, 1, 0]],
    }


def test_a_segment_sees_its_own_favourites_shrunk_towards_everybodys(make_tables: Maker) -> None:
    events = [(user, 0, 2.0) for user in range(4)] + [(4, 1, 2.0), (5, 1, 2.0), (4, 2, 40.0), (5, 2, 40.0)]
    tables = make_tables(events, titles=["a", "b", "c"], cities=["Oslo"] * 4 + ["Lima"] * 2 + [None, "Lima"])
    features = build_features(tables, FeaturesSettings())
    lists = segment_lists(features, SegmentSettings())
    assert lists is not None
    segments = lists.of_users(features)
    nobody = sparse.csr_matrix((8, 3), dtype=np.float32)
    scores = segments.score(UserChunk(np.arange(8, dtype=np.uint32), nobody))

    shares = scores.of_pairs(Pairs(np.array([0, 1, 1, 1, 1, 2, 2, 3, 3]), np.ones(3, dtype=np.int32)))

    everybody = 2 / 6  # of the pairs of the last 30 days; a segment borrows 50 of everybody's
    expected = [50 * everybody / (4 + 50), (2 + 50 * everybody) / (2 + 50), everybody]
    np.testing.assert_allclose(shares, expected, rtol=1e-6)
    with pytest.raises(SettingsError, match="'age' is no text feature of the users"):
        segment_lists(features, SegmentSettings(feature="age"))


def test_a_half_life_that_leaves_nothing_of_any_event_is_reported(make_tables: Maker) -> None:
    tables = make_tables([(0, 0, 20.0), (1, 1, 30.0)], titles=["Lamp", "Sofa"], cities=[None] * 2)
    settings = settings_tree().model_validate({"candidates": {"lightfm": {"half_life_days": 0.1}}})
    with pytest.raises(InputError, match="its weight is 0") as raised:
        fit_candidate_stage(tables, settings, 1)
    assert raised.value.where == "candidates.lightfm.half_life_days = 0.1"

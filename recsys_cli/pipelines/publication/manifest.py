"""The facts stored in a recommendations file and in the manifest beside it."""

from typing import Annotated

from pydantic import Field

from recsys_cli.configs.fields import IndexName, ListLength
from recsys_cli.utils.json_record import (
    Count,
    Day,
    Figure,
    JsonRecord,
    MomentText,
    RunId,
    Sha256,
    Share,
    Word,
)

UserId = Annotated[int, Field(ge=-(2**63), lt=2**63)] | str


class FileIdentity(JsonRecord):
    """Which lists a file holds, and what they were made from.

    Attributes:
        key: a hash of all that decides the bytes of the file.
        example_user: a user whose list is a good example for `explain`; None where there are no users.
    """

    schema_version: Count
    day: Day = Field(alias="date")
    key: Word
    features_content_hash: Word
    example_user: UserId | None


class ScoringTerms(JsonRecord):
    """How the lists were asked for.

    Attributes:
        index: how vectors were searched; shortlist: candidates of a user that all trees scored.
    """

    model_version: Word
    all_users: bool
    top_k: ListLength
    index: IndexName
    shortlist: Count


class ReuseFacts(JsonRecord):
    """Lists of an earlier day that a file reuses.

    Attributes:
        sha256: of the earlier file; ranked, reused: users.
    """

    day: Day = Field(alias="date")
    sha256: Sha256
    ranked: Count
    reused: Count = Field(alias="carried")


class RuleFigures(JsonRecord):
    """What a rule did to the lists of a run.

    Attributes:
        rows: that it gave their places; unmet: users for whom it could not be met.
        changed_lists, changed_rows: shares of lists and rows that would differ without it, in a sample.
        cost: share of the expected takes (the sum of the probabilities) that it takes away, in the sample;
            below 0: it adds some.
    """

    name: Word
    action: Word
    rows: Count
    unmet: Count
    changed_lists: Share | None = None
    changed_rows: Share | None = None
    cost: Figure | None = None


class RulesRecord(JsonRecord):
    """What came behind the ranker.

    Attributes:
        key: a hash of the rules and of what they read beside the features.
        sample: users whose lists were compared with those without each rule; 0: none.
        changed_lists, changed_rows, cost: as of a rule, of all together.
        expected_takes: mean a list of the sample.
        explored: rows that exploration drew; drawn_places: places that it drew for all users.
        shown: published lists that cooldowns looked at: their SHA-256 by date.
        files: tables of the quotas beside the file: their SHA-256 by name.
    """

    key: Word
    rules: list[RuleFigures]
    sample: Count = 0
    changed_lists: Share | None = None
    changed_rows: Share | None = None
    cost: Figure | None = None
    expected_takes: Figure | None = None
    explored: Count = 0
    drawn_places: Count = 0
    shown: dict[Word, Sha256] = Field(default_factory=dict)
    files: dict[Word, Sha256] = Field(default_factory=dict)


class ShownFacts(JsonRecord):
    """The earlier published lists that the rules of cooldown have read.

    Attributes:
        lists: the SHA-256 of the file of each date.
    """

    lists: dict[Day, Sha256]


class ListFigures(JsonRecord):
    """Counts over all lists of a file.

    Attributes:
        index_recall: share of the exact lists that the index finds; unset where all items are looked at.
        unlisted_items: of the events, kept out of lists as they are not in the items table; unset for none.
        fallback_rows: rows that popularity alone proposed.
        items: distinct items of the lists; top_item_lists: lists that hold the most frequent one.
        lists: what came behind the ranker; None: lists are the first candidates of the ranker.
    """

    lists: RulesRecord | None = None

    reuse: ReuseFacts | None = Field(default=None, alias="carried")
    index_recall: Share | None = None
    unlisted_items: Count | None = None
    users: Count
    warm_users: Count
    cold_users: Count
    candidates: Count
    rows: Count
    short_lists: Count
    empty_lists: Count
    share_by_source: dict[Word, Share]
    fallback_rows: Count
    eligible_items: Count
    items: Count
    top_item_lists: Count
    catalogue_coverage: Figure


class FileFacts(ListFigures, ScoringTerms, FileIdentity):
    """Facts that are equal for every run of the same work.

    They are also in the file's own metadata, so that a lost manifest can be rebuilt.
    """


class ReuseSample(JsonRecord):
    """How reused lists compare with a full run's.

    Attributes:
        users: who are looked at.
        differing: share of them whose items or order differ; overlap: mean share of the same items.
    """

    users: Count
    differing: Share
    overlap: Share


class ReuseDecision(JsonRecord):
    """What `--changed-since` has decided.

    Attributes:
        changed: users who were ranked again.
        all_ranked_because: why no list was reused; None where lists were.
    """

    day: Day = Field(alias="date")
    changed: Count | None = None
    sample: ReuseSample | None = None
    all_ranked_because: str | None


class RunFacts(JsonRecord):
    """What differs between two runs of the same work; unset where `verify --repair` rebuilt the manifest.

    Attributes:
        gates: figures of the publish gates, by the settings that bound them.
        newest_event_age_days: at the first moment of the date; model_age_days: since the end of its training.
    """

    run_id: RunId | None
    started: MomentText | None
    changed_since: ReuseDecision | None = None
    gates: dict[Word, Figure] = Field(default_factory=dict)
    newest_event_age_days: Figure | None = None
    model_age_days: Count | None = None


class PublicationManifest(RunFacts, FileFacts):
    """The manifest of published recommendations."""

    sha256: Sha256
